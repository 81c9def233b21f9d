"""Firehose: an event's delivery leaves the journal only after its Parquet file is published."""

import base64
import json
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest

from analytics.usecases import to_rows
from analytics.warehouse import connect
from infra.local.directory.data_directory import DataDirectory
from infra.local.engine import streams
from infra.local.engine.streams import CHUNK, ROWS
from infra.local.platform import stack_of
from infra.local.template.stack import Stack
from kernel import stock_events
from kernel.events import CONTRACTS, REQUESTS
from tests.fakes.runtime import DAY, NOW, FunctionError, Rig

INTERVAL = 60.0
PROCESSOR = "ProcessRecordsFunction"
TODAY = "dt=2027-01-15"


@cache
def _stack() -> Stack:
    stack = stack_of(DataDirectory(Path("/nowhere")))
    stack.own_facts = frozenset()  # these tests state facts as the platform does
    return stack


def shipped(directory: DataDirectory) -> Stack:
    """Return the stack of the shipped template, read once."""
    return _stack()


def process(event: Any) -> Any:
    return {"records": to_rows(event["records"]).records}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    opened = Rig(tmp_path, stack=shipped, handlers={PROCESSOR: process})
    opened.settle()
    opened.functions.calls.clear()
    yield opened
    opened.close()


def completed(number: int) -> dict[str, Any]:
    """Return the entry of a valid event that goes to the stream only."""
    detail = {
        "order_id": f"A-{number}",
        "customer_id": "C-1",
        "currency": "USD",
        "items": [{"sku": "TEA", "quantity": number, "unit_price": 1}],
        "total": number,
        "charge_id": "c",
        "shipment_id": "s",
        "tracking_number": "t",
        "timestamp": "2027-01-15T08:00:00Z",
        "metadata": {"event_id": f"00000000-0000-4000-8000-{number:012d}"},
    }
    return _entry("Order Completed", detail)


def malformed() -> dict[str, Any]:
    """Return the entry of an event that breaks its contract."""
    return _entry("Order Completed", {"order_id": "A-0", "nonsense": True})


def _entry(kind: str, detail: Any) -> dict[str, Any]:
    return {
        "EventBusName": "orders-bus",
        "Source": "orders.service",
        "DetailType": kind,
        "Detail": json.dumps(detail),
    }


def put(rig: Rig, *numbers: int) -> None:
    """Put events on the bus."""
    for first in range(0, len(numbers), 10):
        rig.put(*(completed(number) for number in numbers[first : first + 10]))
    rig.settle()


def files(rig: Rig) -> list[str]:
    """Return the published files, by their path in the bucket."""
    bucket = rig.directory.bucket
    return sorted(str(path.relative_to(bucket)) for path in bucket.rglob("[!.]*") if path.is_file())


def asked(rig: Rig, sql: str) -> list[Any]:
    """Return the rows of the Parquet files."""
    with connect(rig.directory.bucket) as connection:
        return connection.execute(sql).fetchall()


def units(rig: Rig, table: str = "order_events") -> list[int]:
    """Return the numbers of the events in the table."""
    return [row[0] for row in asked(rig, f"select units from {table} order by units")]


def deliveries(rig: Rig) -> int:
    """Return how many deliveries to the stream are in the journal."""
    [row] = rig.rows("select count(*) as n from deliveries where target like 'AnalyticsRule/%'")
    return int(row["n"])


# ---- buffering


def test_events_are_buffered_and_then_written_as_one_file(rig: Rig) -> None:
    put(rig, 1, 2)
    rig.pass_time(INTERVAL - 1)
    assert files(rig) == []
    assert rig.engine.next_due(schedules=False) == NOW + INTERVAL
    rig.pass_time(1)
    assert files(rig) == [f"order_events/{TODAY}/000000000001-000000000002.parquet"]
    assert units(rig) == [1, 2]
    assert deliveries(rig) == 0


def test_a_full_buffer_is_written_at_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "ROWS", 5)
    for number in range(1, 8):
        put(rig, number)
    assert units(rig)[:4] == [1, 2, 3, 4]
    assert deliveries(rig) == 7 - len(units(rig))
    rig.pass_time(INTERVAL)
    assert units(rig) == [1, 2, 3, 4, 5, 6, 7]


def test_the_processor_gets_chunks_of_records_as_firehose_sends_them(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "CHUNK", 2)
    put(rig, 1, 2, 3)
    rig.pass_time(INTERVAL)
    events = rig.functions.of(PROCESSOR)
    assert [len(event["records"]) for event in events] == [2, 1]
    record = events[0]["records"][0]
    assert record["recordId"] == "1"
    assert record["approximateArrivalTimestamp"] == NOW * 1000
    assert json.loads(base64.b64decode(record["data"]))["detail"]["order_id"] == "A-1"
    assert units(rig) == [1, 2, 3]


@pytest.mark.parametrize("events", [ROWS, 2 * ROWS, 2 * ROWS + CHUNK + 1])
def test_events_beyond_one_delivery_are_all_written(rig: Rig, events: int) -> None:
    rig.engine.accept_only = True
    put(rig, *range(1, events + 1))
    rig.restart()
    rig.settle()
    assert deliveries(rig) == 0
    sizes = [len(event["records"]) for event in rig.functions.of(PROCESSOR)]
    assert (max(sizes), sum(sizes)) == (CHUNK, events)
    names = [Path(name).stem.split("-") for name in files(rig)]
    cuts = [(int(first), int(last)) for first, last in names]
    assert cuts == [(first, min(first + ROWS - 1, events)) for first in range(1, events + 1, ROWS)]
    assert asked(rig, "select count(*), sum(units) from order_events") == [
        (events, sum(range(1, events + 1)))
    ]


def test_a_chunk_whose_answer_cannot_be_sorted_is_retried(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream continues: no delivery waits for lost records."""
    sort, left = rig.engine.streams._sort, [RuntimeError("no order")]  # noqa: SLF001

    def sorts(*arguments: Any) -> None:
        if left:
            raise left.pop()
        sort(*arguments)

    monkeypatch.setattr(rig.engine.streams, "_sort", sorts)
    rig.failures_expected = True
    put(rig, 1, 2)
    for _ in range(3):
        rig.pass_time(INTERVAL)
    assert units(rig) == [1, 2]
    assert deliveries(rig) == 0
    assert [failure["kind"] for failure in rig.failures()] == ["record"]


def test_full_buffers_are_written_at_once_and_the_rest_after_its_interval(rig: Rig) -> None:
    put(rig, *range(1, 2 * ROWS + 2))
    assert deliveries(rig) < ROWS
    rig.pass_time(INTERVAL)
    assert deliveries(rig) == 0
    assert asked(rig, "select count(*) from order_events") == [(2 * ROWS + 1,)]


def test_a_stream_has_one_delivery_at_a_time(tmp_path: Path) -> None:
    rig = Rig(tmp_path, stack=shipped)
    put(rig, 1)
    rig.pass_time(INTERVAL)
    put(rig, 2)
    rig.pass_time(INTERVAL)
    assert len(rig.functions.of(PROCESSOR)) == 1
    [call] = [call for call in rig.functions.calls if call.function.name == PROCESSOR]
    rig.functions.answer(call, process(json.loads(call.payload)))
    rig.settle()
    assert units(rig) == [1]
    assert len(rig.functions.of(PROCESSOR)) == 2
    rig.close()


def test_a_buffer_that_fills_during_a_delivery_is_delivered_next_without_duplicates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "ROWS", 2)
    rig = Rig(tmp_path, stack=shipped)
    put(rig, 1, 2)
    put(rig, 3, 4)
    for number in range(2):
        call = [call for call in rig.functions.calls if call.function.name == PROCESSOR][number]
        rig.functions.answer(call, process(json.loads(call.payload)))
        rig.settle()
    events = rig.functions.of(PROCESSOR)
    given = [[record["recordId"] for record in event["records"]] for event in events]
    assert given == [["1", "2"], ["3", "4"]]
    rig.close()


def test_files_are_in_the_folder_of_their_events_arrival_day(rig: Rig) -> None:
    rig.clock.time = NOW + 16 * 3600 - 30  # half a minute to midnight, UTC
    put(rig, 1)
    rig.clock.time += 45
    put(rig, 2)
    rig.pass_time(INTERVAL)
    assert files(rig) == [
        "order_events/dt=2027-01-15/000000000001-000000000002.parquet",
        "order_events/dt=2027-01-16/000000000001-000000000002.parquet",
    ]
    assert asked(rig, "select dt, units from order_events order by dt") == [
        ("2027-01-15", 1),
        ("2027-01-16", 2),
    ]


def test_columns_have_the_types_of_the_templates_table(rig: Rig) -> None:
    put(rig, 1)
    rig.pass_time(INTERVAL)
    [path] = files(rig)
    described = asked(
        rig, f"select name, type from parquet_schema('{rig.directory.bucket / path}')"
    )
    names = [name for name, _ in described]
    [stream] = rig.engine.stack.streams.values()
    assert set(stream.columns) <= set(names)
    [row] = asked(rig, "select total, event_time, lines from order_events")
    assert (str(row[0]), str(row[1]), row[2]) == (
        "1.00",
        "2027-01-15 08:00:00",
        [{"sku": "TEA", "quantity": 1, "unit_price": "1.00"}],
    )


def test_the_row_of_a_replayed_event_has_the_replays_name(rig: Rig) -> None:
    put(rig, 1)
    rig.pass_time(INTERVAL)
    rig.ask(lambda now: rig.engine.replays.start("again", 0, now + DAY, (), now))
    rig.pass_time(INTERVAL)
    assert asked(rig, "select replay_name from order_events_raw order by 1 nulls first") == [
        (None,),
        ("again",),
    ]
    assert units(rig) == [1]


# ---- atomic files


class Disk:
    """A log of file operations in order, and a disk that can fail on demand."""

    def __init__(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rig = rig
        self.events: list[str] = []
        self.fail_at = ""
        self.on_rename: Callable[[], None] = lambda: None
        self._sync, self._rename = os.fsync, Path.rename
        monkeypatch.setattr(os, "fsync", self.fsync)
        disk = self

        def rename(path: Path, to: Path) -> Path:
            return disk.rename(path, to)

        monkeypatch.setattr(Path, "rename", rename)

    def fsync(self, descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        self.happens("fsync", name)
        self._sync(descriptor)

    def rename(self, path: Path, to: Path) -> Path:
        self.on_rename()
        self.happens("rename", to.name)
        return self._rename(path, to)

    def happens(self, what: str, name: str) -> None:
        if what == self.fail_at:
            raise OSError(28, "No space left on device")
        self.events.append(f"{what} {name}")


def test_a_file_is_synced_renamed_and_its_folder_synced_in_this_order(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(rig, 1)
    disk = Disk(rig, monkeypatch)
    rig.pass_time(INTERVAL)
    name = "000000000001-000000000001.parquet"
    assert disk.events == [f"fsync .{name}", f"rename {name}", f"fsync {TODAY}"]


def test_deliveries_stay_in_the_journal_until_the_file_has_its_name(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(rig, 1, 2)
    disk = Disk(rig, monkeypatch)
    seen: list[Any] = []
    disk.on_rename = lambda: seen.append(rig.outside("select count(*) from deliveries"))
    rig.pass_time(INTERVAL)
    assert seen == [[(2,)]]
    assert deliveries(rig) == 0


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_a_failing_disk_loses_no_event_and_publishes_no_partial_file(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    put(rig, 1, 2)
    disk = Disk(rig, monkeypatch)
    disk.fail_at = step
    rig.pass_time(INTERVAL)
    assert files(rig) == []
    assert deliveries(rig) == 2
    assert rig.engine.streams.failures == 1
    assert "No space left" in rig.engine.streams.last_error
    disk.fail_at = ""
    rig.pass_time(streams.RETRY - 1)
    assert files(rig) == []
    rig.pass_time(1)
    assert units(rig, "order_events_raw") == [1, 2]
    assert deliveries(rig) == 0
    assert rig.engine.streams.failures == 0


def test_no_temporary_file_remains(rig: Rig) -> None:
    put(rig, 1)
    rig.put(malformed())
    rig.pass_time(INTERVAL)
    assert [path for path in rig.directory.bucket.rglob(".*") if path.is_file()] == []


def test_a_partial_file_is_invisible_to_queries(rig: Rig) -> None:
    put(rig, 1)
    rig.pass_time(INTERVAL)
    folder = rig.directory.bucket / "order_events" / TODAY
    (folder / ".000000000002-000000000002.parquet").write_bytes(b"PAR1 half")
    (folder / ".000000000002-000000000002.parquet.json").write_bytes(b'{"half')
    assert units(rig) == [1]


class Killed(BaseException):
    """The process ends."""


def die_after_the_rename(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """End the process between the rename of a file and the commit of its delivery."""

    def dies(**_: object) -> None:
        raise Killed

    disk = Disk(rig, monkeypatch)
    disk.on_rename = lambda: monkeypatch.setattr(rig.database, "write", dies)
    with pytest.raises(Killed):
        rig.pass_time(INTERVAL)
    disk.on_rename = lambda: None
    assert len(files(rig)) == 1
    rig.restart()


def test_after_a_crash_between_rename_and_commit_the_same_file_is_written_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(rig, 1, 2)
    die_after_the_rename(rig, monkeypatch)
    rig.settle()
    assert units(rig, "order_events_raw") == [1, 2]
    assert len(files(rig)) == 1
    assert deliveries(rig) == 0


def test_an_event_in_two_different_files_is_counted_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(rig, 1, 2)
    die_after_the_rename(rig, monkeypatch)
    monkeypatch.setattr(streams, "ROWS", 1)
    rig.settle()
    assert units(rig, "order_events_raw") == [1, 1, 2, 2]
    assert units(rig) == [1, 2]
    assert deliveries(rig) == 0


def test_the_same_deliveries_have_the_same_file_name(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(rig, 1, 2)
    renamed: list[str] = []
    disk = Disk(rig, monkeypatch)
    disk.fail_at = "fsync"
    rig.pass_time(INTERVAL)
    disk.fail_at = ""
    rig.restart()
    rig.settle()
    renamed = files(rig)
    assert [Path(name).name for name in renamed] == ["000000000001-000000000002.parquet"]


def test_a_later_process_never_overwrites_a_file(rig: Rig) -> None:
    for number in range(1, 4):
        put(rig, number)
        rig.pass_time(INTERVAL)
        rig.restart()
    assert units(rig, "order_events_raw") == [1, 2, 3]
    assert len(files(rig)) == 3


# ---- failures


def test_an_invalid_event_goes_to_the_error_prefix_and_the_others_to_the_table(
    rig: Rig,
) -> None:
    rig.put(completed(1), malformed(), completed(2))
    rig.settle()
    rig.pass_time(INTERVAL)
    assert units(rig) == [1, 2]
    assert deliveries(rig) == 0
    error = f"errors/processing-failed/{TODAY}/000000000001-000000000003.jsonl"
    assert error in files(rig)
    [line] = (rig.directory.bucket / error).read_text().splitlines()
    told = json.loads(line)
    assert told["errorCode"] == "Lambda.ProcessingFailedStatus"
    assert told["arrivalTimestamp"] == NOW * 1000
    assert json.loads(base64.b64decode(told["rawData"]))["detail"]["nonsense"] is True


def test_a_failing_processor_loses_no_event(rig: Rig) -> None:
    def fails(_: Any) -> Any:
        raise FunctionError("Oops", "not today")

    rig.handlers[PROCESSOR] = fails
    rig.restart()
    put(rig, 1)
    for _ in range(20):
        rig.pass_time(INTERVAL)
    assert (files(rig), deliveries(rig)) == ([], 1)
    assert rig.engine.streams.last_error == "Oops: not today"
    rig.handlers[PROCESSOR] = process
    rig.restart()
    rig.settle()
    assert units(rig) == [1]


def test_no_chunk_is_written_if_one_chunk_fails(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "CHUNK", 1)

    def fails_once(event: Any) -> Any:
        if event["records"][0]["recordId"] == "2" and not failed:
            failed.append(True)
            raise FunctionError("Oops")
        return process(event)

    failed: list[bool] = []
    rig.handlers[PROCESSOR] = fails_once
    rig.restart()
    put(rig, 1, 2, 3)
    rig.pass_time(INTERVAL)
    assert (files(rig), deliveries(rig)) == ([], 3)
    rig.pass_time(streams.RETRY)
    assert units(rig, "order_events_raw") == [1, 2, 3]


def test_a_recovered_sink_writes_all_events(rig: Rig) -> None:
    bucket = rig.directory.bucket
    bucket.rmdir()
    bucket.write_text("a file where the folder should be")
    for number in range(1, 40):
        put(rig, number)
        rig.pass_time(7)
    assert rig.engine.streams.failures > 3
    bucket.unlink()
    bucket.mkdir()
    rig.pass_time(INTERVAL)
    assert units(rig, "order_events_raw") == list(range(1, 40))
    assert deliveries(rig) == 0


def test_a_full_buffer_waits_for_the_retry_too(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "ROWS", 3)
    Disk(rig, monkeypatch).fail_at = "rename"
    rig.put(*(completed(number) for number in range(1, 6)))
    rig.clock.time += INTERVAL
    rig.turn(50)
    assert rig.engine.streams.failures == 1
    rig.pass_time(streams.RETRY)
    assert rig.engine.streams.failures == 2


def drop_one(event: Any) -> Any:
    """Answer as a processor that drops its records."""
    answer = process(event)
    answer["records"][0] = {"recordId": answer["records"][0]["recordId"], "result": "Dropped"}
    return answer


def test_a_dropped_record_is_written_nowhere(rig: Rig) -> None:
    rig.handlers[PROCESSOR] = drop_one
    rig.restart()
    put(rig, 1, 2)
    rig.pass_time(INTERVAL)
    assert units(rig) == [2]
    assert deliveries(rig) == 0


@pytest.mark.parametrize(
    "answer", [{"records": "nonsense"}, {"no": "records"}, "nonsense", None], ids=str
)
def test_a_malformed_answer_of_the_processor_loses_no_event(rig: Rig, answer: Any) -> None:
    rig.handlers[PROCESSOR] = lambda _: answer
    rig.restart()
    put(rig, 1, 2)
    for _ in range(20):
        rig.pass_time(INTERVAL)
    assert (files(rig), deliveries(rig)) == ([], 2)
    rig.handlers[PROCESSOR] = process
    rig.restart()
    rig.pass_time(INTERVAL)
    assert units(rig) == [1, 2]


# ---- one failing record


def errors(rig: Rig) -> dict[str, str]:
    """Return the records in the error prefix: the code by the order's id."""
    found = {}
    for path in (rig.directory.bucket / "errors").rglob("*.jsonl"):
        for line in path.read_text().splitlines():
            told = json.loads(line)
            raw = json.loads(base64.b64decode(told["rawData"]))
            found[raw.get("detail", raw)["order_id"]] = told["errorCode"]
    return found


def is_poison(record: dict[str, Any]) -> bool:
    return b'"A-2"' in base64.b64decode(record["data"])


def answer_with(change: Callable[[dict[str, Any]], Any]) -> Callable[[Any], Any]:
    """Return a processor whose answer for the poison is changed; None omits it."""

    def answer(event: Any) -> Any:
        records = process(event)["records"]
        poison = {one["recordId"] for one in event["records"] if is_poison(one)}
        changed = [change(one) if one["recordId"] in poison else one for one in records]
        return {"records": [one for one in changed if one is not None]}

    return answer


def raise_for_poison(event: Any) -> Any:
    if any(map(is_poison, event["records"])):
        raise FunctionError("ValueError", "this one")
    return process(event)


POISON: dict[str, tuple[Callable[[Any], Any], str]] = {
    "the processor raises": (raise_for_poison, "Lambda.FunctionError"),
    "left unanswered": (answer_with(lambda _: None), "Lambda.MissingRecordId"),
    "another id": (
        answer_with(lambda one: {**one, "recordId": "99"}),
        "Lambda.MissingRecordId",
    ),
    "an answer that is a number": (answer_with(lambda _: 5), "Lambda.MissingRecordId"),
    "an id that is a list": (
        answer_with(lambda one: {**one, "recordId": [1]}),
        "Lambda.MissingRecordId",
    ),
    "no result": (
        answer_with(lambda one: {"recordId": one["recordId"]}),
        "Lambda.JsonProcessingException",
    ),
    "no data": (
        answer_with(lambda one: {"recordId": one["recordId"], "result": "Ok"}),
        "Lambda.JsonProcessingException",
    ),
    "data that is no Base64": (
        answer_with(lambda one: {**one, "data": "%%%"}),
        "Lambda.JsonProcessingException",
    ),
    "data of another type": (
        answer_with(lambda one: {**one, "data": 5}),
        "Lambda.JsonProcessingException",
    ),
    "a row of other types": (
        answer_with(
            lambda one: {
                **one,
                "data": base64.b64encode(b'{"order_id": "A-2", "units": "many"}').decode(),
            }
        ),
        "DataFormatConversion.InvalidRow",
    ),
}


@pytest.mark.parametrize("kind", POISON)
def test_a_failing_record_goes_to_the_errors_and_the_others_to_the_table(
    rig: Rig, kind: str
) -> None:
    rig.failures_expected = True
    rig.handlers[PROCESSOR], code = POISON[kind]
    rig.restart()
    put(rig, 1, 2, 3, 4, 5)
    rig.pass_time(INTERVAL)
    for _ in range(40):
        rig.pass_time(streams.RETRY)
    assert units(rig, "order_events_raw") == [1, 3, 4, 5]
    assert errors(rig) == {"A-2": code}
    assert deliveries(rig) == 0
    put(rig, 6)
    rig.pass_time(INTERVAL)
    assert 6 in units(rig)


@pytest.mark.parametrize(
    "row", [b"no json", b"", b"5", b"[]", b"null", b"{}{}", b'{"units":1e999}']
)
def test_a_row_that_is_not_a_json_object_goes_to_the_errors(rig: Rig, row: bytes) -> None:
    nonsense = base64.b64encode(row).decode()
    rig.handlers[PROCESSOR] = answer_with(lambda one: {**one, "data": nonsense})
    rig.restart()
    put(rig, 1, 2, 3)
    rig.pass_time(INTERVAL)
    assert units(rig) == [1, 3]
    [path] = (rig.directory.bucket / "errors").rglob("*.jsonl")
    assert "format-conversion-failed" in str(path)


def test_a_row_on_several_lines_is_one_row(rig: Rig) -> None:
    row = base64.b64encode(b'{\r\n"units":\n2\n}\n').decode()
    rig.handlers[PROCESSOR] = answer_with(lambda one: {**one, "data": row})
    rig.restart()
    put(rig, 1, 2, 3)
    rig.pass_time(INTERVAL)
    assert units(rig, "order_events_raw") == [1, 2, 3]


def test_retries_of_records_do_not_block_a_skipping_clock(rig: Rig) -> None:
    """The engine waits in real time only for files that are being written."""
    rig.handlers[PROCESSOR] = lambda _: "nonsense"
    rig.restart()
    put(rig, 1)
    rig.pass_time(INTERVAL)
    assert rig.engine.streams.busy
    assert rig.engine.idle
    assert rig.engine.next_due(schedules=False) == rig.clock.now() + streams.RETRY


def test_a_data_directory_may_have_a_quote_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "o'brien"
    folder.mkdir()
    rig = Rig(folder, stack=shipped, handlers={PROCESSOR: process})
    put(rig, 1)
    rig.pass_time(INTERVAL)
    assert rig.engine.streams.last_error == ""
    assert units(rig) == [1]
    rig.close()


def test_a_fact_of_another_sender_is_delivered_and_in_no_view(rig: Rig) -> None:
    rig.engine.stack.own_facts = frozenset({"Order Completed"})
    try:
        put(rig, 1)
        own = {**completed(2)}
        rig.engine.bus.accept(own, NOW)
        rig.pass_time(INTERVAL)
    finally:
        rig.engine.stack.own_facts = frozenset()
    assert units(rig) == [2]
    assert asked(rig, "select units, origin from order_events_raw order by units") == [
        (1, "external"),
        (2, "platform"),
    ]


def test_the_shipped_bus_policy_names_every_fact_of_the_platform() -> None:
    stack = stack_of(DataDirectory(Path("/nowhere")))
    assert stack.own_facts == (CONTRACTS.keys() - REQUESTS) | {stock_events.NAME}


def test_pandas_and_polars_open_the_folder_in_one_line(rig: Rig) -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    put(rig, 1, 2)
    rig.pass_time(INTERVAL)
    folder = rig.directory.bucket / "order_events"
    frame = pandas.read_parquet(folder)
    assert sorted(frame["units"]) == [1, 2]
    assert str(frame["event_time"].dtype) == "datetime64[us, UTC]"
    assert frame["lines"].iloc[0][0]["sku"] == "TEA"
    table = polars.read_parquet(folder)
    assert table["lines"].list.first().struct.field("unit_price").to_list() == ["1.00", "1.00"]
    with duckdb.connect() as connection:
        [(kind,)] = connection.execute(
            f"select distinct typeof(arrived_at) from read_parquet('{folder}/*/*.parquet')"
        ).fetchall()
    assert kind == "TIMESTAMP WITH TIME ZONE"
