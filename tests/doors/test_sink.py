"""The stream's processor: whatever it answers, each record is a row or an error, and goes on."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
from hypothesis import strategies as st

from tests.doors.conftest import Through
from tests.doors.platforms import Shipped
from tests.doors.texts import REPORTED, objects, texts, values
from tests.host import event
from tests.strategies import damaged

MOST = 10
"""Records that an example puts, which is what one PutEvents request takes."""

ROW: dict[str, Any] = {
    "event_id": "e",
    "event_type": "Order Completed",
    "event_time": "2026-01-31 12:00:00.000",
    "order_id": "A-1",
    "total": "12.50",
    "units": 1,
    "lines": ["TEA|1|12.50"],
    "arrived_at": "2026-01-31 12:00:00.000",
}

results = st.sampled_from(["Ok", "Ok", "Ok", "Dropped", "ProcessingFailed"]) | values
rows = st.one_of(
    damaged(st.just(ROW)).map(json.dumps),
    (objects | texts),
    st.sampled_from(["\xff", "{}{}", '{}\n{"event_id":"second"}', "\n\n", '{\n"units"\n:1}']),
)


def encoded(text: str) -> str:
    """Return text as a record's data."""
    return base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()


datas = rows.map(encoded) | values | st.text(max_size=5)
answers = st.lists(st.tuples(results, datas, st.booleans() | values), max_size=3) | values


def answered(records: list[Any], template: Any) -> Any:
    """Return an answer: one by its shape for the records in turn, or anything at all."""
    if not isinstance(template, list) or not all(isinstance(one, tuple) for one in template):
        return template
    found = []
    for number, (result, data, known) in enumerate(template):
        own = records[number % len(records)]["recordId"]
        found.append({"recordId": own if known is True else known, "result": result, "data": data})
    return {"records": found}


def test_an_answer_of_the_processor_of_any_kind(through: Through, shipped: Shipped) -> None:
    """A record is a row, or in the error prefix with the reason; none waits for ever."""
    shipped.expected = {"record"}
    bucket = Bucket()

    def process(template: Any) -> None:
        processor = Processor(shipped, lambda given: answered(given["records"], template))
        bucket.new(shipped.host.directory.bucket)
        number = len(template) if isinstance(template, list) else 1
        shipped.host.put(*[event("Order Teleported")] * min(MOST, max(1, number)))
        waiting = shipped.rows(
            "select count(*) as n from deliveries where target like 'Analytics%'"
        )[0]["n"]
        with processor:
            shipped.rest(sink=True, within=120.0)
        shipped.rest(sink=True)
        left = shipped.rows("select * from deliveries")
        assert not left, left
        found = bucket.new(shipped.host.directory.bucket)
        assert found == waiting - sum(processor.dropped.values()), processor.answers

    ok = [("Ok", encoded(text), True) for text in [*REPORTED, json.dumps(ROW)]]
    always: list[Any] = [ok[at : at + MOST] for at in range(0, len(ok), MOST)]
    through(shipped, answers, process, [*always, [("Dropped", "", True)], [("Ok", 5, True)], "x"])


class Processor:
    """The stream's processor, replaced for a while."""

    def __init__(self, shipped: Shipped, answer: Callable[[Any], Any]) -> None:
        invoker: Any = shipped.engine.invoker
        self.handlers: dict[str, Any] = invoker.environment._handlers  # noqa: SLF001
        self.answer = answer
        self.answers: list[Any] = []
        self.dropped: dict[str, int] = {}

    def __enter__(self) -> None:
        self.handlers["ProcessRecordsFunction"] = self._answered

    def __exit__(self, *_: object) -> None:
        del self.handlers["ProcessRecordsFunction"]

    def _answered(self, given: Any, _: object) -> Any:
        """Answer, and note which records are dropped by the first answer that names them."""
        answer = self.answer(given)
        self.answers.append(answer)
        asked = {record["recordId"] for record in given["records"]}
        records = answer.get("records") if isinstance(answer, dict) else None
        for record in records if isinstance(records, list) else ():
            number = record.get("recordId") if isinstance(record, dict) else None
            if isinstance(number, str) and number in asked:
                asked.remove(number)
                self.dropped[number] = int(record.get("result") == "Dropped")
        return answer


class Bucket:
    """What was delivered, counted once a file."""

    def __init__(self) -> None:
        self._seen: set[Path] = set()

    def new(self, bucket: Path) -> int:
        """Return how many rows and errors the files have that were not there before."""
        files = {path for path in bucket.rglob("[!.]*") if path.is_file()} - self._seen
        self._seen |= files
        errors = [path for path in files if path.suffix == ".jsonl"]
        tables = [str(path) for path in files if path.suffix == ".parquet"]
        found = sum(len(path.read_bytes().splitlines()) for path in errors)
        if tables:
            query = "select sum(num_rows) from parquet_file_metadata(?)"
            [(rows,)] = duckdb.execute(query, [tables]).fetchall()
            found += int(rows)
        return found
