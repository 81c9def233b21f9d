"""Events inside of exports, messages, records of functions and error files."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.cli.event_files import read_events, read_value
from infra.cli.wrapped_events import MAX_WRAPPERS, unwrap
from tests.host import order

EVENT = order("A-1")
TEXT = json.dumps(EVENT)
DATA = base64.b64encode(TEXT.encode()).decode()
LETTER = {"consumer": "change_order", "event": EVENT, "reason": {"error": "InvalidEvent"}}

DOCUMENTS: dict[str, tuple[Any, int]] = {
    "export": ({"kind": "event", "id": "1", "envelope": TEXT, "arrived_at": 1.0}, 1),
    "export of version 1": ({"kind": "event", "envelope": EVENT, "arrived_at": 1.0}, 1),
    "export, another kind": ({"kind": "stock", "sku": "TEA"}, 0),
    "Firehose's error": ({"attemptsMade": 1, "errorCode": "X", "rawData": DATA}, 1),
    "message": ({"MessageId": "1", "Body": TEXT}, 1),
    "answer of ReceiveMessage": ({"Messages": [{"Body": TEXT}, {"Body": TEXT}]}, 2),
    "records of SQS": ({"Records": [{"eventSource": "aws:sqs", "body": TEXT}]}, 1),
    "records of Kinesis": ({"Records": [{"kinesis": {"data": DATA}}]}, 1),
    "records of SNS": ({"Records": [{"Sns": {"Message": TEXT}}]}, 1),
    "records of a transformation": ({"invocationId": "1", "records": [{"data": DATA}]}, 1),
    "dead letter": (LETTER, 1),
    "message with a dead letter": ({"Body": json.dumps(LETTER)}, 1),
    "failed call": ({"requestPayload": EVENT, "requestContext": {}}, 1),
    "entries": ({"Entries": [{"Source": "orders.service", "DetailType": "Order Created",
                              "Detail": json.dumps(EVENT["detail"])}]}, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_file_of_each_document_has_its_events(tmp_path: Path, name: str) -> None:
    document, number = DOCUMENTS[name]
    file = tmp_path / "events.ndjson"
    file.write_text(f"{json.dumps(document)}\n{TEXT}\n")
    lines = list(read_events(file))
    assert [line.problem for line in lines] == [None] * (number + 1)
    assert {line.event.detail.order_id for line in lines if line.event} == {"A-1"}


def test_an_event_is_no_document_around_one() -> None:
    assert unwrap({**EVENT, "Body": TEXT}) is None
    assert unwrap({"detail-type": "Order Created"}) is None
    assert unwrap([EVENT]) is None
    assert unwrap("text") is None


def test_a_document_without_events_keeps_its_problem(tmp_path: Path) -> None:
    (tmp_path / "bad.ndjson").write_text('{"Body": "no JSON"}\n{"Records": [3, {}]}\n{"a": 1}\n')
    problems = [line.problem or "" for line in read_events(tmp_path / "bad.ndjson")]
    assert len(problems) == 4
    assert all(problems)


NAMES = st.sampled_from(
    [
        *("kind", "envelope", "Body", "body", "Messages", "Records", "records", "rawData", "data"),
        *("kinesis", "Sns", "Message", "requestPayload", "event", "consumer"),
    ]
)
VALUES = st.recursive(
    st.none() | st.integers() | st.sampled_from(["event", "stock", "header", "{}", "%", TEXT]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
)


@settings(max_examples=300)
@given(document=st.dictionaries(NAMES, VALUES, max_size=4))
def test_no_document_ends_the_reading_of_a_file(document: dict[str, Any]) -> None:
    lines = read_value("file", 1, json.dumps(document))
    assert all((line.event is None) == bool(line.problem) for line in lines)


def test_a_line_of_an_export_without_its_event_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "bad.ndjson").write_text('{"kind": "event"}\n' + TEXT)
    first, second = read_events(tmp_path / "bad.ndjson")
    assert (bool(first.problem), second.problem) == (True, None)


def test_data_that_is_no_base64_is_an_event_with_a_problem(tmp_path: Path) -> None:
    (tmp_path / "bad.ndjson").write_text('{"rawData": "%%%"}\n')
    [line] = read_events(tmp_path / "bad.ndjson")
    assert line.problem


def test_the_number_of_documents_around_an_event_is_bounded() -> None:
    text = TEXT
    for _ in range(MAX_WRAPPERS + 1):
        text = json.dumps({"Body": text})
    [inner] = unwrap(json.loads(text)) or []
    assert json.loads(inner).keys() == {"Body"}


def test_numbers_of_an_event_in_a_text_are_kept(tmp_path: Path) -> None:
    detail = TEXT.replace("12.5}", "1.25E1}")
    (tmp_path / "one.ndjson").write_text(json.dumps({"Body": detail}) + "\n")
    [line] = read_events(tmp_path / "one.ndjson")
    assert line.event is not None
    assert line.event.detail.total == 1250  # type: ignore[attr-defined]
