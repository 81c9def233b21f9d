"""CSV files of the console: no text in a cell becomes a formula of a spreadsheet.

Source: OWASP, "CSV Injection".
"""

import io
from collections.abc import Iterable, Sequence
from typing import Any

from infra.queries.row_formats import csv_writer

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001
"""The first characters of a formula, and the wide forms that a spreadsheet reads as the same."""


def safe_cell(value: Any) -> Any:
    """Return a text with an apostrophe before a formula's first character; others unchanged."""
    is_risky = isinstance(value, str) and value.startswith(_FORMULA)
    return f"'{value}" if is_risky else value


def csv_file(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> bytes:
    """Return rows with a heading as the content of a file (RFC 4180)."""
    to = io.StringIO()
    writer = csv_writer(to)
    writer.writerow(columns)
    writer.writerows([safe_cell(value) for value in row] for row in rows)
    return to.getvalue().encode(errors="replace")  # a lone surrogate
