"""Fuzz the answers of the stream's processor: each record becomes a row or an error."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
from hypothesis import strategies as st

from tests.fuzz.conftest import Fuzz
from tests.fuzz.platforms import Shipped
from tests.fuzz.texts import REPORTED, objects, texts, values
from tests.host import event
from tests.strategies import damaged

MAX_ENTRIES = 10
"""Records of an example: the maximum of one PutEvents request."""

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
    """Return a text as a record's data."""
    return base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()


datas = rows.map(encoded) | values | st.text(max_size=5)
answers = st.lists(st.tuples(results, datas, st.booleans() | values), max_size=3) | values


def answer_for(records: list[Any], template: Any) -> Any:
    """Return an answer for records by a template, or the template if it is no list."""
    if not isinstance(template, list) or not all(isinstance(row, tuple) for row in template):
        return template
    results = []
    for number, (result, data, known) in enumerate(template):
        own = records[number % len(records)]["recordId"]
        results.append(
            {"recordId": own if known is True else known, "result": result, "data": data}
        )
    return {"records": results}


def test_an_answer_of_the_processor_of_any_kind(fuzz: Fuzz, shipped: Shipped) -> None:
    """A record becomes a row, or an error with its reason; none waits for ever."""
    shipped.expected = {"record"}
    bucket = Bucket()

    def process(template: Any) -> None:
        processor = Processor(shipped, lambda event: answer_for(event["records"], template))
        bucket.new(shipped.host.directory.bucket)
        number = len(template) if isinstance(template, list) else 1
        shipped.host.put(*[event("Order Completed")] * min(MAX_ENTRIES, max(1, number)))
        waiting = shipped.rows(
            "select count(*) as n from deliveries where target like 'Analytics%'"
        )[0]["n"]
        with processor:
            shipped.rest(sink=True, within=120.0)
        shipped.rest(sink=True)
        pending = shipped.rows("select * from deliveries")
        assert not pending, pending
        delivered = bucket.new(shipped.host.directory.bucket)
        assert delivered == waiting - sum(processor.dropped.values()), processor.answers

    ok = [("Ok", encoded(text), True) for text in [*REPORTED, json.dumps(ROW)]]
    fixed: list[Any] = [ok[at : at + MAX_ENTRIES] for at in range(0, len(ok), MAX_ENTRIES)]
    fuzz(shipped, answers, process, [*fixed, [("Dropped", "", True)], [("Ok", 5, True)], "x"])


class Processor:
    """A context in which the stream's processor is replaced."""

    def __init__(self, shipped: Shipped, answer: Callable[[Any], Any]) -> None:
        invoker: Any = shipped.engine.invoker
        self.handlers: dict[str, Any] = invoker.environment._handlers  # noqa: SLF001
        self.answer = answer
        self.answers: list[Any] = []
        self.dropped: dict[str, int] = {}

    def __enter__(self) -> None:
        self.handlers["ProcessRecordsFunction"] = self._handle

    def __exit__(self, *_: object) -> None:
        del self.handlers["ProcessRecordsFunction"]

    def _handle(self, event: Any, _: object) -> Any:
        """Answer, and record whether each record is dropped by the first answer for it."""
        answer = self.answer(event)
        self.answers.append(answer)
        unanswered = {record["recordId"] for record in event["records"]}
        records = answer.get("records") if isinstance(answer, dict) else None
        for record in records if isinstance(records, list) else ():
            number = record.get("recordId") if isinstance(record, dict) else None
            if isinstance(number, str) and number in unanswered:
                unanswered.remove(number)
                self.dropped[number] = int(record.get("result") == "Dropped")
        return answer


class Bucket:
    """Counts the rows and errors in delivered files, each file once."""

    def __init__(self) -> None:
        self._seen: set[Path] = set()

    def new(self, bucket: Path) -> int:
        """Return the number of rows and errors in files that are new since the last call."""
        files = {path for path in bucket.rglob("[!.]*") if path.is_file()} - self._seen
        self._seen |= files
        errors = [path for path in files if path.suffix == ".jsonl"]
        tables = [str(path) for path in files if path.suffix == ".parquet"]
        count = sum(len(path.read_bytes().splitlines()) for path in errors)
        if tables:
            query = "select sum(num_rows) from parquet_file_metadata(?)"
            [(rows,)] = duckdb.execute(query, [tables]).fetchall()
            count += int(rows)
        return count
