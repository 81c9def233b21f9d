"""Each Firehose record is returned as a row, or as failed and unchanged."""

import base64
import json
from types import SimpleNamespace
from typing import Any

from analytics.handlers.process_records import handler
from tests.unit.analytics.lake import envelope, order

CONTEXT: Any = SimpleNamespace(function_name="process_records", aws_request_id="r-1")
ARRIVED = 1_769_860_800_250


def process(*contents: bytes) -> list[dict[str, Any]]:
    records = [
        {
            "recordId": f"r-{number}",
            "approximateArrivalTimestamp": ARRIVED,
            "data": base64.b64encode(content).decode(),
        }
        for number, content in enumerate(contents)
    ]
    answer = handler({"invocationId": "i", "records": records}, CONTEXT)
    answered: list[dict[str, Any]] = answer["records"]
    return answered


def event(**more: Any) -> bytes:
    return json.dumps(envelope("Order Created", order(**more))).encode()


def test_a_valid_event_is_a_line_of_json() -> None:
    [record] = process(event())
    assert (record["recordId"], record["result"]) == ("r-0", "Ok")
    line = base64.b64decode(record["data"])
    assert line.endswith(b"}\n")
    row = json.loads(line)
    assert (row["order_id"], row["total"]) == ("A-1", "25.00")
    assert row["arrived_at"] == "2026-01-31 12:00:00.250"


def test_an_invalid_event_fails_alone_and_keeps_its_data() -> None:
    bad = [event(total=-1), event(metadata={"schema_version": "2.0"}), b"\xff\x00", b"[]", b"NaN"]
    answered = process(event(), *bad, event())
    assert [record["recordId"] for record in answered] == [f"r-{number}" for number in range(7)]
    assert [record["result"] for record in answered] == ["Ok", *["ProcessingFailed"] * 5, "Ok"]
    assert [base64.b64decode(record["data"]) for record in answered[1:6]] == bad


def test_a_record_that_is_not_base64_fails_too() -> None:
    record = {"recordId": "r", "approximateArrivalTimestamp": ARRIVED, "data": "%"}
    answer = handler({"records": [record]}, CONTEXT)
    assert answer["records"] == [{"recordId": "r", "result": "ProcessingFailed", "data": "%"}]
