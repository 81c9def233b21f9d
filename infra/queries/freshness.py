"""How far the sink is behind: the age of the oldest event that no file has."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

_OLDEST = """
select min(e.arrived_at) from deliveries d join events e on e.seq = d.event_seq
where d.target = ?
"""


def footer(database: Path, target: str, now: float) -> str:
    """Return a sentence such as ``as of 12:03:40 UTC, sink 41 s behind``.

    ``target`` is the rule target of the sink.
    """
    at = f"{datetime.fromtimestamp(now, UTC):%H:%M:%S}"
    try:
        with closing(
            sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)
        ) as connection:
            [(oldest,)] = connection.execute(_OLDEST, (target,)).fetchall()
    except sqlite3.Error:
        return f"as of {at} UTC"
    if oldest is None:
        return f"as of {at} UTC, every event delivered"
    return f"as of {at} UTC, sink {max(0, round(now - oldest))} s behind"
