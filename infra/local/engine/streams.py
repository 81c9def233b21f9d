"""Firehose: buffered deliveries become rows of Parquet files.

A delivery to a stream is deleted from the journal only after its file has its final name. A crash
in between delivers the records again; the table's view removes duplicates. A background thread
writes the files, so the engine does not wait for them.

A record that cannot be processed or converted goes to the stream's error prefix, and the others of
its batch are delivered (Amazon Data Firehose, "Handle failure in data transformation" and "Handle
data format conversion errors").
"""

from binascii import a2b_base64
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from infra.local.directory.crash_marker import NO_ITEM, CrashMarker, Item, Kind
from infra.local.engine.backlog import NEVER
from infra.local.engine.bus import Bus
from infra.local.engine.component import Component
from infra.local.engine.crash_suspects import Suspects
from infra.local.engine.error_boundary import Boundary, described
from infra.local.engine.parquet import (
    UnconvertibleRows,
    conversion_here,
    conversion_in_process,
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
    row_problem,
)
from infra.local.template.stack import Stream, Target
from infra.local.workers.invocations import Result

ROWS = 2_000
"""Maximum records of one delivery, and rows of one file: they are held in memory."""

CHUNK = 200
"""Maximum records of one call of the processor; a turn of the engine makes one such call."""

RETRY = 5.0
"""Seconds before a failed delivery or chunk is retried."""

ATTEMPTS = 3
"""Failed calls of the processor with the same records, after which the records are halved.

Firehose makes as many retries, then gives up the batch. Here a single record is given up, and only
if the processor answers for others: a processor that always fails is retried without end.
"""

INVALID_ROW = "DataFormatConversion.InvalidRow"
PROCESSING, CONVERSION = "processing-failed", "format-conversion-failed"
"""Error types in the error prefix (Amazon Data Firehose, "Custom prefixes for S3 objects")."""

_ERROR_TYPE = "!{firehose:error-output-type}"
_ON_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")

RunInBackground = Callable[
    [Callable[[], None], Callable[[BaseException | None, float], None]], None
]
"""``(work, done)``: run work in the background; ``done(error, now)`` follows in a later turn."""


class ProcessorError(Exception):
    """The processor fails for every record."""


class Streams(Component):
    """The streams of a stack.

    ``suspects`` are ranges of delivery ids whose records a process was handling when it ended. Each
    record is processed alone, and converted in a separate process.
    """

    def __init__(
        self,
        bus: Bus,
        boundary: Boundary,
        bucket: Path,
        run_in_background: RunInBackground,
        background: CrashMarker,
    ) -> None:
        self.stack = bus.stack
        self.journal = boundary.journal
        self.bus = bus
        self.invoke = boundary.calls.invoke
        self.bucket = bucket
        self.run_in_background = run_in_background
        self.boundary = boundary
        self.background = background
        self.targets = [target for target in bus.targets.values() if target.kind == "stream"]
        self.busy: set[str] = set()
        self.suspects: list[tuple[int, int]] = []
        self._begun: list[StreamDelivery] = []
        self._ended: set[str] = set()
        self.failures = 0
        self.last_error = ""

    @property
    def is_writing(self) -> bool:
        """Whether files are being written; deliveries at the processor do not count."""
        return len(self.busy) > len(self._begun)

    def resume(self, suspects: Suspects, now: float) -> None:  # noqa: ARG002
        """Set the suspects; deliveries are read from the journal in any case."""
        self.suspects = suspects.records

    def work(self, now: float) -> bool:
        """Call the processor for due chunks, and begin deliveries of full or old buffers.

        Return whether there was any.
        """
        worked = False
        for delivery in list(self._begun):
            worked |= self._process(delivery, now)
        for target in self.targets:
            full = self.bus.routed[target.key] >= ROWS
            due = self.bus.backlog.is_due(target.key, now) or (full and not self.failures)
            if target.key not in self.busy and due:
                worked |= self._begin(target, now)
        return worked

    def next_due(self) -> float:
        """Return when the next buffer or failed chunk is due."""
        chunks = [chunk.due for delivery in self._begun for chunk in delivery.chunks]
        free = (target.key for target in self.targets if target.key not in self.busy)
        return min([*chunks, self.bus.backlog.next_due(free)], default=NEVER)

    def flush_buffers(self) -> None:
        """Deliver all buffers in the next turns, before their intervals are over."""
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
        """Call the processor with the next due chunk; return whether there was one."""
        chunk = next((chunk for chunk in delivery.chunks if chunk.due <= now), None)
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
        """Sort the processor's answer; retry the chunk if the call failed."""
        delivery.waiting -= 1
        first = chunk.rows[0]["id"]
        # no marker: the background thread may end the process while this marker has its old item
        error = self.boundary.attempt(
            Kind.RECORD,
            first,
            self._take_answer,
            delivery,
            chunk,
            result,
            now,
            marked=NO_ITEM,
        )
        if error is not None:
            self._retry(delivery, chunk, described(error), now)
        self._finish_if_processed(delivery, now)

    def _take_answer(
        self, delivery: StreamDelivery, chunk: Chunk, result: Result, now: float
    ) -> None:
        records = result.payload.get("records") if isinstance(result.payload, dict) else None
        if result.error is not None:
            problem = f"{result.error['errorType']}: {result.error['errorMessage']}"
            self._retry(delivery, chunk, problem, now)
        elif not isinstance(records, list):
            self._retry(delivery, chunk, "the processor's answer has no list of records", now)
        else:
            delivery.answered = True
            self._sort(delivery, chunk, records)

    def _finish_if_processed(self, delivery: StreamDelivery, now: float) -> None:
        """Finish a delivery once the processor has answered for each record."""
        if delivery.is_processed:
            self._begun.remove(delivery)
            self._finish(delivery, now)

    def _retry(self, delivery: StreamDelivery, chunk: Chunk, problem: str, now: float) -> None:
        """Retry a chunk; after `ATTEMPTS` failures halve it, and give up a single record."""
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
        """Add a record to the errors, and record the failure."""
        delivery.add_error(PROCESSING, row, code, problem, envelope_of(row))
        self.boundary.failures.add(Item(Kind.RECORD, row["id"], row["id"]), code, problem)

    def _sort(self, delivery: StreamDelivery, chunk: Chunk, records: list[Any]) -> None:
        """Add each record to the rows, or to the errors, of its arrival day."""
        unanswered = {str(row["id"]): row for row in chunk.rows}
        for record in records:
            number = record.get("recordId") if isinstance(record, dict) else None
            row = unanswered.pop(number, None) if isinstance(number, str) else None
            if row is None:
                continue  # an unknown record, or a second answer
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
            problem = row_problem(line)
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
        """Write the files in the background; if the processor always fails, retry later."""
        if delivery.hopeless and not delivery.answered:
            self._end(delivery, ProcessorError(delivery.hopeless[0][1]), now)
            return
        for row, problem in delivery.hopeless:
            self._give_up(delivery, row, "Lambda.FunctionError", problem)
        stream = self.stack.streams[delivery.target.name]
        self.run_in_background(partial(self._write, stream, delivery), partial(self._end, delivery))

    def _end(self, delivery: StreamDelivery, error: BaseException | None, now: float) -> None:
        """Delete the deliveries whose files are written; after an error, retry them later."""
        key = delivery.target.key
        self._ended.add(key)
        if error is not None:
            self.failures += 1
            is_processor = isinstance(error, ProcessorError)
            self.last_error = str(error) if is_processor else described(error)
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
            self.background.enter(NO_ITEM)

    def _write_rows(
        self, stream: Stream, delivery: StreamDelivery, rows: list[Processed], path: Path
    ) -> None:
        """Write rows to a file; unconvertible rows go to the errors of their day."""
        good = rows
        if delivery.alone:
            good = self._converted(delivery, rows, conversion_in_process(stream.columns))
        try:
            if good:
                write_parquet([record.line for record in good], stream.columns, path)
        except UnconvertibleRows:
            good = self._converted(delivery, good, conversion_here(stream.columns))
            if good:
                write_parquet([record.line for record in good], stream.columns, path)

    def _converted(
        self,
        delivery: StreamDelivery,
        rows: list[Processed],
        problem_with: Callable[[Sequence[bytes]], str],
    ) -> list[Processed]:
        """Return the rows that convert; add the others to the errors."""
        bad = unconvertible(rows, lambda record: record.line, problem_with)
        for record, problem in bad:
            delivery.add_error(CONVERSION, record.row, INVALID_ROW, problem, record.line)
        excluded = {id(record) for record, _ in bad}
        return [record for record in rows if id(record) not in excluded]

    def _write_errors(
        self, stream: Stream, kind: str, day: str, name: str, errors: list[bytes]
    ) -> None:
        prefix = stream.error_prefix.replace("!{timestamp:yyyy-MM-dd}", day)
        if _ERROR_TYPE not in prefix:
            name = f"{name}-{kind}"
        folder = self.bucket / prefix.replace(_ERROR_TYPE, kind)
        write_lines(folder / f"{name}.jsonl", b"\n".join(errors) + b"\n")

    def quarantine(self, number: int, reason: str, now: float) -> None:  # noqa: ARG002
        """Write a record unchanged to its stream's error prefix."""
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
