"""Pruning of the analysts' files: whole days, which no open order's events belong to."""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

from infra.local.retention.steps import Found
from storage.sqlite.database import Database

_DAY = re.compile(r"dt=(\d{4}-\d\d-\d\d)")
_OLDEST_OPEN = "select min(created_at) from orders where in_flight = 1"
_OLDEST_UNDELIVERED = (
    "select min(arrived_at) from events where seq = (select min(event_seq) from deliveries)"
)


class FilePruning:
    """The pruning of the days before a time; each step deletes one day."""

    def __init__(
        self, database: Database, bucket: Path, before: float, found: Found, *, dry: bool
    ) -> None:
        self._bucket = bucket
        self._found = found
        self._dry = dry
        self._limit = _limit(database, before)
        self._days = iter(self._folders())

    def step(self) -> bool:
        """Delete the files of the next day; return whether there may be more."""
        folder = next(self._days, None)
        if folder is None:
            return False
        for file in sorted(folder.iterdir()):
            self._found.counts["bytes"] += file.stat().st_size
            self._found.counts["files"] += 1
            if not self._dry:
                file.unlink()
        if not self._dry:
            with suppress(OSError):  # a file came meanwhile
                folder.rmdir()
        return True

    def _folders(self) -> Iterator[Path]:
        for folder in sorted(self._bucket.glob("order_events/dt=*")):
            match = _DAY.fullmatch(folder.name)
            if match is not None and date.fromisoformat(match[1]) < self._limit:
                yield folder


def _limit(database: Database, before: float) -> date:
    """Return the first day that is kept."""
    moments = [before]
    for query in (_OLDEST_OPEN, _OLDEST_UNDELIVERED):
        [(moment,)] = database.rows(query)
        if moment is not None:
            moments.append(moment)
    return datetime.fromtimestamp(min(moments), UTC).date()
