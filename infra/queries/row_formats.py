"""Rows of a query's answer as CSV and NDJSON, one batch after the other."""

import csv
import json
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from infra.queries.warehouse import Rows, json_value


class Writer(Protocol):
    """Where text is written."""

    def write(self, text: str, /) -> object:
        """Write text."""


def write_csv(columns: Sequence[str], batches: Iterator[Rows], to: Writer) -> int:
    """Write rows as CSV (RFC 4180) with a heading; return their number."""
    writer = csv.writer(to, lineterminator="\n")
    writer.writerow(columns)
    count = 0
    for batch in batches:
        writer.writerows([_csv_cell(cell) for cell in row] for row in batch)
        count += len(batch)
    return count


def _csv_cell(cell: Any) -> Any:
    value = json_value(cell)
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, dict | list) else value


def write_ndjson(columns: Sequence[str], batches: Iterator[Rows], to: Writer) -> int:
    """Write each row as a JSON object on a line; return their number."""
    names, count = _unique(columns), 0
    for batch in batches:
        for row in batch:
            cells = (json_value(cell) for cell in row)
            to.write(json.dumps(dict(zip(names, cells, strict=True)), allow_nan=False) + "\n")
        count += len(batch)
    return count


def _unique(columns: Sequence[str]) -> list[str]:
    """Return names for an object's members: a repeated name gets a number, as ``total_2``."""
    names: list[str] = []
    for column in columns:
        name, number = column, 1
        while name in names or (number > 1 and name in columns):
            number += 1
            name = f"{column}_{number}"
        names.append(name)
    return names


def first_rows(batches: Iterator[Rows], limit: int) -> tuple[Rows, bool]:
    """Return at most ``limit`` rows, and whether there are more."""
    rows: Rows = []
    for batch in batches:
        rows += batch
        if len(rows) > limit:
            return rows[:limit], True
    return rows, False
