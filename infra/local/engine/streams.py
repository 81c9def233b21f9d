"""Firehose: buffered deliveries become rows of Parquet files.

A delivery to a stream stays in the journal until its file has its final name: delivered means
renamed. A crash in between delivers again, which the table's view counts once. Files are written in
a background thread, so the engine goes on with the orders meanwhile.

A record that cannot be processed or converted goes to the stream's error prefix, and the others of
its batch are delivered (Amazon Data Firehose, "Handle failure in data transformation" and "Handle
data format conversion errors").
"""

from binascii import a2b_base64
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from infra.local.directory.crash_marker import NOTHING, CrashMarker, Item, Kind
from infra.local.engine.backlog import NEVER
from infra.local.engine.bus import Bus
from infra.local.engine.error_boundary import Boundary, described
from infra.local.engine.parquet import (
    UnconvertibleRows,
    converts_apart,
    converts_here,
    unconvertible,
    write_lines,
    write_parquet,
)
from infra.local.engine.stream_delivery import (
    Chunk,
    Processed,
    StreamDelivery,
    day_of,
    envelope_of,
    firehose_event,
    no_row,
)
from infra.local.template.stack import Stream, Target
from infra.local.workers.invocations import Result

ROWS = 2_000
"""Records of one delivery at most, and rows of one file: they are held in memory."""

CHUNK = 200
"""Records of one call of the processor at most; a turn of the engine makes one such call."""

RETRY = 5.0
"""Seconds before a delivery or a chunk that failed is tried again."""

ATTEMPTS = 3
"""Calls of the processor with the same records that fail, until these are halved.

Firehose retries as often, then gives up the whole batch. Here one record alone is given up, and
only if the processor answers for others: one that always fails is waited for.
"""

INVALID_ROW = "DataFormatConversion.InvalidRow"
PROCESSING, CONVERSION = "processing-failed", "format-conversion-failed"
"""Types of errors in the error prefix (Amazon Data Firehose, "Custom prefixes for S3 objects")."""

_ERROR_TYPE = "!{firehose:error-output-type}"
_ON_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")

RunInBackground = Callable[
    [Callable[[], None], Callable[[BaseException | None, float], None]], None
]
"""``(work, done)``: do work in the background; ``done(error, now)`` follows in a later turn."""


class ProcessorError(Exception):
    """The processor fails, whatever it is given."""


class Streams:
    """The streams of a stack (a component).

    ``suspects`` are records, by the ids of their deliveries, that a process was handling when it
    ended: each is processed alone, and converted in a process of its own.
    """

    def __init__(
        self,
        bus: Bus,
        boundary: Boundary,
        bucket: Path,
        behind: RunInBackground,
        background: CrashMarker,
    ) -> None:
        self.stack = bus.stack
        self.journal = boundary.journal
        self.bus = bus
        self.invoke = boundary.calls.invoke
        self.bucket = bucket
        self.behind = behind
        self.boundary = boundary
        self.background = background
        self.targets = [one for one in bus.targets.values() if one.kind == "stream"]
        self.busy: set[str] = set()
        self.suspects: list[tuple[int, int]] = []
        self._begun: list[StreamDelivery] = []
        self._ended: set[str] = set()
        self.failures = 0
        self.last_error = ""

    @property
    def is_writing(self) -> bool:
        """Whether files are being written; a chunk that failed only waits for its time."""
        return len(self.busy) > len(self._begun)

    def resume(self, now: float) -> None:
        """Do nothing: deliveries are read from the journal."""

    def work(self, now: float) -> bool:
        """Begin a delivery where a buffer is full or old enough; return whether one began."""
        found = False
        for delivery in list(self._begun):
            found |= self._process(delivery, now)
        for target in self.targets:
            full = self.bus.routed[target.key] >= ROWS
            due = self.bus.backlog.is_due(target.key, now) or (full and not self.failures)
            if target.key not in self.busy and due:
                found |= self._begin(target, now)
        return found

    def next_due(self) -> float:
        """Return when a buffer, or a chunk that failed, is due."""
        chunks = [chunk.due for delivery in self._begun for chunk in delivery.chunks]
        free = (target.key for target in self.targets if target.key not in self.busy)
        return min([*chunks, self.bus.backlog.next_due(free)], default=NEVER)

    def flush(self) -> None:
        """Deliver what is buffered in the next turns, before its interval is over."""
        for target in self.targets:
            self.bus.backlog.wake(target.key, 0.0)

    def committed(self) -> None:
        """Release the streams whose delivery ended in this turn.

        Before the commit their rows would be read again.
        """
        self.busy -= self._ended
        self._ended.clear()

    def _begin(self, target: Target, now: float) -> bool:
        rows = self._deliveries("d.target = ?", target.key)
        self.bus.routed[target.key] = 0
        self.bus.backlog.rest(target.key, None)
        if not rows:
            return False
        self.busy.add(target.key)
        self._begun.append(self._delivery(target, rows))
        self._process(self._begun[-1], now)
        return True

    def _deliveries(self, condition: str, *values: object) -> list[Any]:
        return self.journal.database.rows(
            "select d.id, d.target, d.replay, e.envelope, e.arrived_at from deliveries d"
            f" join events e on e.seq = d.event_seq where {condition} order by d.id limit {ROWS}",
            *values,
        )

    def _delivery(self, target: Target, rows: Sequence[Any]) -> StreamDelivery:
        suspects = [row for row in rows if self._is_suspect(row["id"])]
        others = [row for row in rows if not self._is_suspect(row["id"])] if suspects else rows
        chunks = [[row] for row in suspects]
        chunks += [list(others[at : at + CHUNK]) for at in range(0, len(others), CHUNK)]
        delivery = StreamDelivery(target, rows, chunks, full=len(rows) == ROWS)
        delivery.alone = bool(suspects)
        return delivery

    def _is_suspect(self, number: int) -> bool:
        return any(first <= number <= last for first, last in self.suspects)

    def _process(self, delivery: StreamDelivery, now: float) -> bool:
        """Call the processor with the next records that are due; return whether there were any."""
        chunk = next((one for one in delivery.chunks if one.due <= now), None)
        if chunk is None:
            return False
        delivery.chunks.remove(chunk)
        delivery.waiting += 1
        first = chunk.rows[0]["id"]
        error = self.boundary.attempt(Kind.RECORD, first, self._call, delivery, chunk)
        if error is not None:
            self._done(delivery, chunk, _failure(error), now)
        return True

    def _call(self, delivery: StreamDelivery, chunk: Chunk) -> None:
        target, rows = delivery.target, chunk.rows
        self.boundary.marker.enter((Kind.RECORD, rows[0]["id"], rows[-1]["id"]))
        processor = self.stack.streams[target.name].processor
        done = partial(self._done, delivery, chunk)
        self.invoke(processor, firehose_event(target, rows), done)

    def _done(self, delivery: StreamDelivery, chunk: Chunk, result: Result, now: float) -> None:
        """Sort the processor's answer; call it again with what failed as a whole."""
        delivery.waiting -= 1
        first = chunk.rows[0]["id"]
        # not marked: the background thread may end the process while this marker is still written
        error = self.boundary.attempt(
            Kind.RECORD,
            first,
            self._take_answer,
            delivery,
            chunk,
            result,
            now,
            marked=NOTHING,
        )
        if error is not None:
            self._retry(delivery, chunk, described(error), now)
        self._sorted(delivery, now)

    def _take_answer(
        self, delivery: StreamDelivery, chunk: Chunk, result: Result, now: float
    ) -> None:
        answered = result.payload.get("records") if isinstance(result.payload, dict) else None
        if result.error is not None:
            problem = f"{result.error['errorType']}: {result.error['errorMessage']}"
            self._retry(delivery, chunk, problem, now)
        elif not isinstance(answered, list):
            self._retry(delivery, chunk, "the processor's answer has no list of records", now)
        else:
            delivery.answered = True
            self._sort(delivery, chunk, answered)

    def _sorted(self, delivery: StreamDelivery, now: float) -> None:
        """Go on with a delivery once the processor has answered for each record."""
        if delivery.is_processed:
            self._begun.remove(delivery)
            self._finish(delivery, now)

    def _retry(self, delivery: StreamDelivery, chunk: Chunk, problem: str, now: float) -> None:
        """Try records again; those that fail again and again are halved, the last is given up."""
        failed = chunk.failed + 1
        if failed < ATTEMPTS:
            delivery.chunks.append(Chunk(chunk.rows, failed, now + RETRY))
        elif len(chunk.rows) > 1:
            middle = len(chunk.rows) // 2
            for rows in (chunk.rows[:middle], chunk.rows[middle:]):
                delivery.chunks.append(Chunk(rows, 1, now + RETRY))
        else:
            delivery.hopeless.append((chunk.rows[0], problem))

    def _give_up(self, delivery: StreamDelivery, row: Any, code: str, problem: str) -> None:
        """Put a record with the errors, though the processor did not ask for that."""
        delivery.add_error(PROCESSING, row, code, problem, envelope_of(row))
        self.boundary.failures.add(Item(Kind.RECORD, row["id"], row["id"]), code, problem)

    def _sort(self, delivery: StreamDelivery, chunk: Chunk, answered: list[Any]) -> None:
        """Put each record with the rows, or with the errors, of its arrival day."""
        unanswered = {str(row["id"]): row for row in chunk.rows}
        for record in answered:
            number = record.get("recordId") if isinstance(record, dict) else None
            row = unanswered.pop(number, None) if isinstance(number, str) else None
            if row is None:
                continue  # of no record that was asked about, or answered twice
            try:
                self._take(delivery, row, record)
            except (KeyError, TypeError, ValueError) as error:
                problem = f"the processor's answer is malformed: {error!r}"
                self._give_up(delivery, row, "Lambda.JsonProcessingException", problem)
        for row in unanswered.values():
            problem = "the processor did not answer for this record"
            self._give_up(delivery, row, "Lambda.MissingRecordId", problem)

    def _take(self, delivery: StreamDelivery, row: Any, record: Mapping[str, Any]) -> None:
        if record["result"] == "Ok":
            line = a2b_base64(record["data"], strict_mode=True)
            problem = no_row(line)
            if problem:
                delivery.add_error(CONVERSION, row, INVALID_ROW, problem, line)
                return
            line = line.translate(_ON_ONE_LINE).strip()
            delivery.rows[day_of(row)].append(Processed(row, line))
        elif record["result"] != "Dropped":
            code, problem = (
                "Lambda.ProcessingFailedStatus",
                "ProcessingFailed status set for record",
            )
            delivery.add_error(PROCESSING, row, code, problem, envelope_of(row))

    def _finish(self, delivery: StreamDelivery, now: float) -> None:
        """Have the files written; on a failure leave the deliveries for later."""
        if delivery.hopeless and not delivery.answered:
            self._end(delivery, ProcessorError(delivery.hopeless[0][1]), now)
            return
        for row, problem in delivery.hopeless:
            self._give_up(delivery, row, "Lambda.FunctionError", problem)
        stream = self.stack.streams[delivery.target.name]
        self.behind(partial(self._write, stream, delivery), partial(self._end, delivery))

    def _end(self, delivery: StreamDelivery, error: BaseException | None, now: float) -> None:
        """Drop the deliveries whose files are written; a sink that fails holds up no order."""
        key = delivery.target.key
        self._ended.add(key)
        if error is not None:
            self.failures += 1
            told = isinstance(error, ProcessorError)
            self.last_error = str(error) if told else described(error)
            self.bus.backlog.wake(key, now + RETRY)
            return
        self.failures = 0
        if delivery.full:
            self.bus.backlog.wake(key, now)
        self.journal.batch.add(
            "delete from deliveries where target = ? and id between ? and ?",
            key,
            delivery.first,
            delivery.last,
        )

    def _write(self, stream: Stream, delivery: StreamDelivery) -> None:
        """Write the files of a delivery, in the background thread."""
        self.background.enter((Kind.RECORD, delivery.first, delivery.last))
        name = f"{delivery.first:012d}-{delivery.last:012d}"
        try:
            for day, rows in delivery.rows.items():
                folder = self.bucket / stream.prefix.replace("!{timestamp:yyyy-MM-dd}", day)
                self._write_rows(stream, delivery, rows, folder / f"{name}.parquet")
            for (kind, day), errors in delivery.errors.items():
                self._write_errors(stream, kind, day, name, errors)
        finally:
            self.background.enter(NOTHING)

    def _write_rows(
        self, stream: Stream, delivery: StreamDelivery, rows: list[Processed], path: Path
    ) -> None:
        """Write rows to a file; those that do not convert go to the errors of their day."""
        good = rows
        if delivery.alone:
            good = self._converted(delivery, rows, converts_apart(stream.columns))
        try:
            if good:
                write_parquet([one.line for one in good], stream.columns, path)
        except UnconvertibleRows:
            good = self._converted(delivery, good, converts_here(stream.columns))
            if good:
                write_parquet([one.line for one in good], stream.columns, path)

    def _converted(
        self,
        delivery: StreamDelivery,
        rows: list[Processed],
        converts: Callable[[Sequence[bytes]], str],
    ) -> list[Processed]:
        """Return the rows that convert; put the others with the errors."""
        bad = unconvertible(rows, lambda one: one.line, converts)
        for one, problem in bad:
            delivery.add_error(CONVERSION, one.row, INVALID_ROW, problem, one.line)
        kept = {id(one) for one, _ in bad}
        return [one for one in rows if id(one) not in kept]

    def _write_errors(
        self, stream: Stream, kind: str, day: str, name: str, errors: list[bytes]
    ) -> None:
        prefix = stream.error_prefix.replace("!{timestamp:yyyy-MM-dd}", day)
        if _ERROR_TYPE not in prefix:
            name = f"{name}-{kind}"
        folder = self.bucket / prefix.replace(_ERROR_TYPE, kind)
        write_lines(folder / f"{name}.jsonl", b"\n".join(errors) + b"\n")

    def put_aside(self, number: int, reason: str, now: float) -> None:  # noqa: ARG002
        """Write a record to its stream's error prefix, as it came."""
        rows = self._deliveries("d.id = ?", number)
        if not rows or self.bus.targets[rows[0]["target"]].kind != "stream":
            return
        [row] = rows
        target = self.bus.targets[row["target"]]
        delivery = StreamDelivery(target, rows)
        delivery.add_error(PROCESSING, row, "Lambda.FunctionError", reason, envelope_of(row))
        stream = self.stack.streams[target.name]
        for (kind, day), errors in delivery.errors.items():
            self._write_errors(stream, kind, day, f"{number:012d}", errors)
        self.journal.batch.add("delete from deliveries where id = ?", number)


def _failure(error: Exception) -> Result:
    name, _, message = described(error).partition(": ")
    return Result(0, None, {"errorType": name, "errorMessage": message}, [], 0.0)
