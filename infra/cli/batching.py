"""Events on their way to the bus: batched by count and size, and what became of them."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from infra.cli.event_files import Line, passed_over
from infra.terminal.output import errors
from lambda_support.batches import batches as grouped
from lambda_support.batches import entry_size

Entry = dict[str, Any]


NAMED = 5
"""Files that are passed over and named."""


def to_entry(line: Line, bus: str) -> Entry:
    """Return the PutEvents entry of an event that was read."""
    return {"EventBusName": bus, **(line.entry or {})}


def tell_passed_over(path: Path) -> None:
    """Print which files of a folder are not read because of their names."""
    names = passed_over(path) if path.is_dir() else []
    if names:
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        errors.print(
            f"{path}: passed over, since their names are not those of events:"
            f" {', '.join(names[:NAMED])}{more}",
            style="yellow",
        )


def batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Group entries so that each group is one PutEvents request."""
    return grouped(entries, entry_size)
