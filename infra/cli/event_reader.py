"""Valid events of files for ``emit`` and ``replay``; rejected ones are counted and printed."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from infra.cli.errors import CommandError
from infra.cli.event_files import Line, check_readable, read_event, read_events, skipped_files
from infra.terminal.output import errors
from kernel.events import REQUESTS

NAMED = 5
"""Skipped files whose names are printed."""

MAX_REJECTIONS = 1_000
"""Maximum rejected events in the JSON answer of a command; all are printed and counted."""


class EventReader:
    """The events of files and folders.

    Parameters
    ----------
    paths
        Files or folders. All are checked before the first event is sent.
    facts
        Whether events that the platform itself publishes are taken as well.
    """

    def __init__(self, paths: list[Path], *, facts: bool = True) -> None:
        for path in paths:
            check_readable(path)
        self.paths = paths
        self.facts = facts
        self.rejected = 0
        self.rejections: list[dict[str, Any]] = []

    def events(self) -> Iterator[Line]:
        """Yield all valid events; with a folder among the paths, sorted by time."""
        for path in self.paths:
            print_skipped_files(path)
        lines: Iterator[Line] = chain.from_iterable(read_events(path) for path in self.paths)
        if any(path.is_dir() for path in self.paths):
            # files are read in the order of their names: a cancellation may precede its order
            lines = by_time(lines)
        for line in lines:
            fact = "" if line.envelope is None else self._problem(line.envelope)
            problems = [fact] if fact else line.all_problems
            if not problems:
                yield line
                continue
            self._reject(line, problems)

    def counts(self) -> dict[str, Any]:
        """Return the number of rejected events, and the first of them, for a command's JSON."""
        listed = {"rejections": self.rejections} if self.rejections else {}
        return {"rejected": self.rejected, **listed}

    def _reject(self, line: Line, problems: list[str]) -> None:
        """Count and print a rejected event; the first `MAX_REJECTIONS` are listed as well."""
        self.rejected += 1
        for problem in problems:
            errors.print(f"rejected {line.path}:{line.number}: {problem}", style="yellow")
        if len(self.rejections) < MAX_REJECTIONS:
            place = {"file": line.path, "line": line.number}
            self.rejections.append({**place, "problems": problems})

    def require_none_rejected(self, accepted: int | None) -> None:
        """Raise `CommandError` if an event was rejected.

        ``accepted`` is the number of the other events; it is ``None`` if none was sent.
        """
        if not self.rejected:
            return
        subject = "1 event was" if self.rejected == 1 else f"{self.rejected} events were"
        others = "" if accepted is None else f"; {accepted or 'none'} accepted"
        raise CommandError(f"{subject} rejected{others}")

    def _problem(self, envelope: Mapping[str, Any]) -> str:
        """Return why a valid event is rejected, or empty text."""
        name = envelope["detail-type"]
        if self.facts or name in REQUESTS:
            return ""
        return (
            f"{name!r} is a fact that the platform itself publishes; send requests"
            f" ({', '.join(sorted(REQUESTS))}), or say --facts"
        )


def print_skipped_files(path: Path) -> None:
    """Print which files of a folder are skipped because of their names."""
    names = skipped_files(path) if path.is_dir() else []
    if names:
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        errors.print(
            f"{path}: skipped, since their names are not those of event files:"
            f" {', '.join(names[:NAMED])}{more}",
            style="yellow",
        )


def by_time(lines: Iterable[Line]) -> Iterator[Line]:
    """Yield malformed events first, then the valid ones by time; a temporary file holds them."""
    with TemporaryFile() as buffer:
        index: list[tuple[str, int, str, int, int, int]] = []
        for line in lines:
            if line.envelope is None:
                yield line
                continue
            text = line.text.encode(errors="surrogateescape")
            time = str(line.envelope.get("time") or "")
            index.append((time, len(index), line.path, line.number, buffer.tell(), len(text)))
            buffer.write(text)
        for _, _, path, number, start, size in sorted(index):
            buffer.seek(start)
            yield read_event(path, number, buffer.read(size).decode())
