"""One chart for each numeric column of a query's answer, and a page with them."""

import os
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Any

from analytics import charts

MAX_CHARTS = 4
MAX_BARS = 40
MAX_COLUMNS = 31
"""Maximum number of columns; a longer series is drawn as a line."""

MAX_ROWS = 500

Row = Sequence[Any]


def render_chart(columns: Sequence[str], rows: Sequence[Row], path: Path, title: str) -> None:
    """Write a self-contained page: columns or lines over time, bars otherwise, and the table."""
    numeric = numeric_columns(columns, rows)
    drawn = figures(columns, rows)
    body = "".join(charts.section(name, chart) for name, chart in drawn)
    if not drawn:
        body = '<p class="muted">The answer has no numeric column.</p>\n'
    cells = [[_text(value) for value in row] for row in rows[:MAX_ROWS]]
    body += charts.section("Rows", charts.table(columns, cells, numeric))
    shown = f", the first {MAX_ROWS} shown" if len(rows) > MAX_ROWS else ""
    page = charts.page(title, f"{_counted(len(rows), 'row')}{shown}", body)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(page, encoding="utf-8")
    part.replace(path)


def numeric_columns(columns: Sequence[str], rows: Sequence[Row]) -> list[bool]:
    """Return for each column whether its cells are numbers."""
    return [_is_numeric(rows, index) for index in range(len(columns))]


def figures(columns: Sequence[str], rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Return the first numeric columns: the name of each, and its chart as SVG in HTML."""
    numeric = numeric_columns(columns, rows)
    drawn = [index for index, number in enumerate(numeric) if number][:MAX_CHARTS]
    return [(columns[index], _chart(columns[index], rows, numeric, index)) for index in drawn]


def _chart(label: str, rows: Sequence[Row], numeric: Sequence[bool], figure: int) -> str:
    names = [index for index, number in enumerate(numeric) if not number]
    if not names or not all(isinstance(row[names[0]], date) for row in rows):
        return _bars(label, rows, names, figure)
    series = list(dict.fromkeys(_name(row, names[1:]) for row in rows))
    points = {(row[names[0]], _name(row, names[1:])) for row in rows}
    if len(series) > charts.TONES or len(points) < len(rows):
        return _bars(label, rows, names, figure)
    times = sorted({row[names[0]] for row in rows})
    values = {
        name: {row[names[0]]: _float(row[figure]) for row in rows if _name(row, names[1:]) == name}
        for name in series
    }
    if len(series) == 1 and len(times) <= MAX_COLUMNS:
        only = values[series[0]]
        return charts.columns([(_text(moment), only[moment] or 0.0) for moment in times], label)
    return charts.lines(
        [_seconds(moment) for moment in times],
        [_text(moment) for moment in times],
        {name: [values[name].get(moment) for moment in times] for name in series},
        label,
    )


def _bars(label: str, rows: Sequence[Row], names: Sequence[int], figure: int) -> str:
    points = [
        (_name(row, names) or f"row {number}", _float(row[figure]) or 0.0)
        for number, row in enumerate(rows[:MAX_BARS], 1)
    ]
    omitted = len(rows) - len(points)
    note = f'<p class="muted">Without a bar: {_counted(omitted, "row")}.</p>\n' if omitted else ""
    return charts.bars(points, label) + note


def _is_numeric(rows: Sequence[Row], index: int) -> bool:
    cells = [row[index] for row in rows if row[index] is not None]
    return bool(cells) and all(
        isinstance(cell, int | float | Decimal) and not isinstance(cell, bool) for cell in cells
    )


def _name(row: Row, indexes: Sequence[int]) -> str:
    return " · ".join(_text(row[index]) for index in indexes)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, float | Decimal):
        return f"{value:,}"
    return str(value)


def _float(value: Any) -> float | None:
    return float(value) if value is not None and isfinite(value) else None


def _seconds(moment: date) -> float:
    if isinstance(moment, datetime):
        return moment.timestamp()
    return float(moment.toordinal() * 86_400)


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
