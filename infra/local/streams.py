"""Firehose: buffered deliveries become rows of Parquet files.

A delivery to a stream stays in the journal until its file has its final name: delivered means
renamed. A crash in between delivers again, which the table's view counts once. Files are written
behind the engine's back, in a thread: it goes on with the orders meanwhile.
"""

import base64
import os
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import orjson

from analytics.warehouse import duckdb_type
from infra.local.bus import Bus
from infra.local.invocations import Invoke, Result
from infra.local.stack import Stream, Target
from infra.local.template import ACCOUNT, REGION

ROWS = 2_000
"""Rows of one delivery at most: what one file holds in memory, and keeps a worker from orders."""

CHUNK = 200
"""Records of one call of the processor at most; a turn of the engine makes one such call."""

RETRY = 5.0
"""Seconds before a delivery that failed is tried again, without end."""

Behind = Callable[[Callable[[], None], Callable[[BaseException | None, float], None]], None]
"""``(work, done)``: do work beside the engine; ``done(error, now)`` follows in a later turn."""


class Delivering:
    """Records on their way through the processor."""

    def __init__(self, target: Target, rows: Sequence[Any]) -> None:
        self.target = target
        self.chunks = deque(rows[at : at + CHUNK] for at in range(0, len(rows), CHUNK))
        self.rows = {str(row["id"]): row for row in rows}
        self.unanswered = set(self.rows)
        self.first, self.last = rows[0]["id"], rows[-1]["id"]
        self.waiting = len(self.chunks)
        self.full = len(rows) == ROWS
        self.lines: dict[str, list[bytes]] = defaultdict(list)
        self.errors: dict[str, list[bytes]] = defaultdict(list)
        self.failure: str | None = None


class Streams:
    """The streams of a stack."""

    def __init__(self, bus: Bus, invoke: Invoke, bucket: Path, behind: Behind) -> None:
        self.stack = bus.stack
        self.journal = bus.journal
        self.bus = bus
        self.invoke = invoke
        self.bucket = bucket
        self.behind = behind
        self.targets = [one for one in bus.targets.values() if one.kind == "stream"]
        self.keys = {target.key for target in self.targets}
        self.busy: set[str] = set()
        self._begun: list[Delivering] = []
        self._ended: set[str] = set()
        self.failures = 0
        self.last_error = ""

    def work(self, now: float) -> bool:
        """Begin a delivery where a buffer is full or old enough; return whether one began."""
        found = bool(self._begun)
        for delivering in list(self._begun):
            self._process(delivering)
        for target in self.targets:
            full = self.bus.routed[target.key] >= ROWS
            due = self.bus.backlog.is_due(target.key, now) or (full and not self.failures)
            if target.key not in self.busy and due:
                found |= self._begin(target)
        return found

    def flush(self) -> None:
        """Deliver what is buffered in the next turns, before its interval is over."""
        for key in self.keys:
            self.bus.backlog.wake(key, 0.0)

    def committed(self) -> None:
        """Let what the turn ended be ended: before, its deliveries would be found once more."""
        self.busy -= self._ended
        self._ended.clear()

    def _begin(self, target: Target) -> bool:
        rows = self.journal.database.rows(
            "select d.id, d.replay, e.envelope, e.arrived_at from deliveries d"
            " join events e on e.seq = d.event_seq where d.target = ? order by d.id limit ?",
            target.key,
            ROWS,
        )
        self.bus.routed[target.key] = 0
        if not rows:
            self.bus.backlog.rest(target.key, None)
            return False
        self.bus.backlog.rest(target.key, None)
        self.busy.add(target.key)
        self._begun.append(Delivering(target, rows))
        self._process(self._begun[-1])
        return True

    def _process(self, delivering: Delivering) -> None:
        """Call the processor with the next of the records."""
        target = delivering.target
        event = _firehose_event(target, delivering.chunks.popleft())
        processor = self.stack.streams[target.name].processor
        self.invoke(processor, event, partial(self._done, delivering))
        if not delivering.chunks:
            self._begun.remove(delivering)

    def _done(self, delivering: Delivering, result: Result, now: float) -> None:
        delivering.waiting -= 1
        try:
            if result.error is not None:
                failed = result.error
                delivering.failure = f"{failed['errorType']}: {failed['errorMessage']}"
            else:
                for record in result.payload["records"]:
                    _sort(record, delivering)
                    delivering.unanswered.discard(record["recordId"])
        except (KeyError, TypeError, ValueError) as error:
            delivering.failure = f"the processor's answer is malformed: {error!r}"
        if delivering.waiting == 0:
            self._finish(delivering, now)

    def _finish(self, delivering: Delivering, now: float) -> None:
        """Have the files written; on a failure leave the deliveries for later."""
        stream = self.stack.streams[delivering.target.name]
        if delivering.unanswered and delivering.failure is None:
            delivering.failure = f"{len(delivering.unanswered)} records came back unanswered"
        if delivering.failure is None:
            self.behind(partial(self._write, stream, delivering), partial(self._end, delivering))
        else:
            self._end(delivering, None, now)

    def _end(self, delivering: Delivering, error: BaseException | None, now: float) -> None:
        """Drop the deliveries whose files are written; whatever ails the sink, orders go on."""
        key = delivering.target.key
        self._ended.add(key)
        if error is not None:
            delivering.failure = f"{type(error).__name__}: {error}"
        if delivering.failure is not None:
            self.failures += 1
            self.last_error = delivering.failure
            self.bus.backlog.wake(key, now + RETRY)
            return
        self.failures = 0
        if delivering.full:
            self.bus.backlog.wake(key, now)
        self.journal.batch.add(
            "delete from deliveries where target = ? and id between ? and ?",
            key,
            delivering.first,
            delivering.last,
        )

    def _write(self, stream: Stream, delivering: Delivering) -> None:
        name = f"{delivering.first:012d}-{delivering.last:012d}"
        for day, lines in delivering.lines.items():
            folder = self.bucket / stream.prefix.replace("!{timestamp:yyyy-MM-dd}", day)
            write_parquet(lines, stream.columns, folder / f"{name}.parquet")
        for day, errors in delivering.errors.items():
            prefix = stream.error_prefix.replace("!{timestamp:yyyy-MM-dd}", day)
            prefix = prefix.replace("!{firehose:error-output-type}", "processing-failed")
            _write(self.bucket / prefix / f"{name}.jsonl", b"\n".join(errors) + b"\n")


def write_parquet(lines: Sequence[bytes], columns: Mapping[str, str], path: Path) -> None:
    """Write rows, each a JSON object, to a Parquet file that appears whole or not at all.

    ``columns`` maps names to Glue types.
    """
    import duckdb

    rows = path.with_name(f".{path.name}.json")
    temporary = path.with_name(f".{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    rows.write_bytes(b"\n".join(lines))
    quoted = "'" + str(temporary).replace("'", "''") + "'"
    types = {name: duckdb_type(kind) for name, kind in columns.items()}
    with duckdb.connect() as connection:
        connection.execute("set threads = 1")
        connection.execute("set memory_limit = '256MB'")
        connection.execute(
            "copy (select * from read_json(?, format = 'newline_delimited', columns = ?))"
            f" to {quoted} (format parquet, compression snappy)",
            [str(rows), types],
        )
    rows.unlink()
    _publish(temporary, path)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(content)
    _publish(temporary, path)


def _publish(temporary: Path, path: Path) -> None:
    """Give a file its name once its content is on disk."""
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    temporary.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _firehose_event(target: Target, rows: Sequence[Any]) -> dict[str, Any]:
    return {
        "invocationId": f"{target.name}-{rows[0]['id']}",
        "deliveryStreamArn": f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/{target.name}",
        "region": REGION,
        "records": [
            {
                "recordId": str(row["id"]),
                "approximateArrivalTimestamp": int(row["arrived_at"] * 1000),
                "data": base64.b64encode(_envelope(row)).decode(),
            }
            for row in rows
        ],
    }


def _envelope(row: Any) -> bytes:
    envelope: bytes = row["envelope"].encode()
    if row["replay"] is not None:
        envelope = envelope[:-1] + b',"replay-name":' + orjson.dumps(row["replay"]) + b"}"
    return envelope


@cache
def _day(number: int) -> str:
    """Return the date of a day since 1970, in UTC."""
    return datetime.fromtimestamp(number * 86_400, UTC).strftime("%Y-%m-%d")


def _sort(record: Mapping[str, Any], delivering: Delivering) -> None:
    """Put a processed record with the rows, or with the errors, of its arrival day."""
    row = delivering.rows[record["recordId"]]
    day = _day(int(row["arrived_at"] // 86_400))
    if record["result"] == "Ok":
        delivering.lines[day].append(base64.b64decode(record["data"]).strip())
    elif record["result"] != "Dropped":
        failed = {
            "attemptsMade": 1,
            "arrivalTimestamp": int(row["arrived_at"] * 1000),
            "errorCode": "Lambda.ProcessingFailedStatus",
            "errorMessage": "ProcessingFailed status set for record",
            "rawData": base64.b64encode(_envelope(row)).decode(),
        }
        delivering.errors[day].append(orjson.dumps(failed))
