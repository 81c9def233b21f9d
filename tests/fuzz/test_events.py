"""Fuzz PutEvents: an event of any JSON is refused or processed, and affects no other."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from infra.cli.event_destination import to_entry
from infra.cli.event_files import UnreadableFile, read_events
from kernel import json_text
from kernel.errors import InvalidEvent
from kernel.events import parse
from lambda_support.batches import MAX_BYTES
from tests.fakes.runtime import BUS, entry
from tests.fuzz.conftest import Fuzz
from tests.fuzz.platforms import Shipped, Small
from tests.fuzz.port import Port
from tests.fuzz.texts import REPORTED, REPORTED_VALUES, is_taken, objects, texts, values
from tests.host import order
from tests.strategies import damaged

CONSUMED = ("Order Created", "Order Updated", "Order Cancelled")
"""Events that a workflow or a function consumes."""

KINDS = st.sampled_from([*CONSUMED, "Order Completed", "Order Teleported"])
ORDER = order("A-1")["detail"]
CODES = {"InvalidArgument", "MalformedDetail", "ResourceNotFoundException"}


def check_processed(shipped: Shipped, kind: str, text: str) -> None:
    """Put an event; check that it is refused or accepted, and quarantined if it is invalid."""
    fields = {"Source": "orders.service", "DetailType": kind, "Detail": text}
    answered = shipped.put([{"EventBusName": "orders-bus", **fields}])
    if len((kind + text + fields["Source"]).encode()) > MAX_BYTES:
        assert answered.exception(0) is not None
        return
    [answer] = answered.result(0)["Entries"]
    taken = is_taken(text) and text.lstrip().startswith("{")
    assert ("EventId" in answer) is taken, answer
    if not taken:
        assert answer["ErrorCode"] in {"MalformedDetail", "InvalidArgument"}
        return
    shipped.rest()
    if kind in CONSUMED and not _is_valid(kind, text):
        queues = {letter["queue"] for letter in shipped.letters(answer["EventId"])}
        assert queues == {"QuarantineQueue"}, f"an invalid {kind} is in {queues}"


def _is_valid(kind: str, text: str) -> bool:
    try:
        parse({"source": "orders.service", "detail-type": kind, "detail": json.loads(text)})
    except InvalidEvent:
        return False
    return True


def test_a_detail_of_any_json(fuzz: Fuzz, shipped: Shipped) -> None:
    fixed = [(kind, text) for kind in CONSUMED for text in REPORTED]
    strategy = st.tuples(KINDS, objects | texts)
    fuzz(shipped, strategy, lambda case: check_processed(shipped, *case), fixed)


def test_an_order_with_one_damaged_place(fuzz: Fuzz, shipped: Shipped) -> None:
    details = damaged(st.just(ORDER)).map(json.dumps)
    fuzz(shipped, st.tuples(KINDS, details), lambda case: check_processed(shipped, *case))


entries = st.fixed_dictionaries(
    {},
    optional={
        "EventBusName": st.just(BUS) | values,
        "Source": st.just("shop") | values,
        "DetailType": st.sampled_from(["Work", "Flow"]) | values,
        "Detail": objects | values,
        "Resources": st.lists(st.text(max_size=5) | values, max_size=2) | values,
        "Time": st.sampled_from([0, 1e10, 1e300, -1e11, "2026-01-31T12:00:00Z", "9999"]) | values,
        "TraceHeader": values,
        "Any": values,
    },
)
SOUND = entry()


def test_entries_of_any_shape(fuzz: Fuzz, small: Small) -> None:
    def put(value: Any) -> None:
        before = small.rows("select count(*) as n from events")[0]["n"]
        request = json_text.write({"Entries": value})
        reply = Port(small.engine).call("AWSEvents.PutEvents", request)
        answers = reply.body["Entries"] if reply.status == 200 else []
        assert reply.status in {200, 400, 413}, reply
        assert all(answer.get("ErrorCode", "InvalidArgument") in CODES for answer in answers), (
            answers
        )
        accepted = sum("EventId" in answer for answer in answers)
        assert small.rows("select count(*) as n from events")[0]["n"] == before + accepted

    fixed: list[Any] = [[{**SOUND, "Resources": value, "Time": value}] for value in REPORTED_VALUES]
    fixed += [[{**SOUND, name: value}] for name in SOUND for value in REPORTED_VALUES]
    fuzz(small, st.lists(entries, max_size=3) | values, put, [*fixed, *REPORTED_VALUES])


PATTERNS = (
    "{}",
    '{"source":["shop"]}',
    '{"detail":{"a":[{"numeric":[">",0]}],"b":[{"exists":true}]}}',
)
HUGE = re.compile(r"\d+(?:\.\d+)?[eE]\+?\d{3,}|\d{300,}")
"""A number beyond a double, which a pattern does not compare and PutEvents does not take."""

HEAD = '"id":"1","account":"0","source":"shop","time":"2026-01-01T00:00:00Z","region":"r"'


def test_a_pattern_and_an_event_of_any_json(fuzz: Fuzz, small: Small) -> None:
    def ask(case: tuple[str, str, str]) -> None:
        pattern, text, is_event = case
        event = text if is_event else f'{{{HEAD},"resources":[],"detail-type":"x","detail":{text}}}'
        request = json_text.write({"EventPattern": pattern, "Event": event})
        reply = Port(small.engine).call("AWSEvents.TestEventPattern", request)
        if reply.status == 200:
            assert reply.body["Result"] in {True, False}
            assert is_taken(HUGE.sub("1", event))
        else:
            refusals = {"InvalidEventPatternException", "ValidationException"}
            assert reply.status == 413 or reply.body["__type"] in refusals, reply

    strategy = st.tuples(
        st.sampled_from(PATTERNS) | objects | texts, texts | objects, st.booleans()
    )
    fixed = [(PATTERNS[1], text, is_event) for text in REPORTED for is_event in (True, False)]
    fuzz(small, strategy, ask, [*fixed, *((text, "{}", True) for text in REPORTED)])


@pytest.mark.parametrize("name", ["events.json", "events.ndjson"])
def test_a_file_of_any_json(fuzz: Fuzz, shipped: Shipped, tmp_path: Path, name: str) -> None:
    path = tmp_path / name

    def send(case: tuple[str, str]) -> None:
        kind, text = case
        event = f'{{"source":"orders.service","detail-type":"{kind}","detail":{text}}}'
        lines = event if kind else text
        path.write_bytes(f"{lines}\n{json.dumps(order('FILED-1'))}\n".encode(errors="replace"))
        try:
            for line in read_events(path):
                if line.envelope is None:
                    assert line.problem
                    continue
                answer = shipped.put([to_entry(line, "orders-bus")])
                assert answer.result(0)["FailedEntryCount"] == 0
        except UnreadableFile as error:  # a file that begins like a binary one
            assert "binary" in str(error)
            assert "\0" in lines
        shipped.rest()

    kinds = KINDS | st.just("")
    details = objects | texts | damaged(st.just(ORDER)).map(json.dumps)
    extended = [json.dumps(ORDER)[:-1] + f',"x":{text or 1}}}' for text in REPORTED]
    fixed = [("Order Created", text) for text in [*REPORTED, *extended]]
    fuzz(shipped, st.tuples(kinds, details), send, [*fixed, *(("", text) for text in REPORTED)])
