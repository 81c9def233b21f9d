"""PutEvents: an event of any JSON is refused, or goes to its end, and nobody else notices."""

import json
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
from tests.doors.conftest import Through
from tests.doors.platforms import Shipped, Small
from tests.doors.port import Port
from tests.doors.texts import REPORTED, REPORTED_VALUES, is_taken, objects, texts, values
from tests.fakes.runtime import BUS, entry
from tests.host import order
from tests.strategies import damaged

CONSUMED = ("Order Created", "Order Updated", "Order Cancelled")
"""Events that a workflow or a function takes."""

KINDS = st.sampled_from([*CONSUMED, "Order Completed", "Order Teleported"])
ORDER = order("A-1")["detail"]
CODES = {"InvalidArgument", "MalformedDetail", "ResourceNotFoundException"}


def ends(shipped: Shipped, kind: str, text: str) -> None:
    """Put an event; see that it is refused or accepted, and that a person sees what is invalid."""
    fields = {"Source": "orders.service", "DetailType": kind, "Detail": text}
    asked = shipped.put([{"EventBusName": "orders-bus", **fields}])
    if len((kind + text + fields["Source"]).encode()) > MAX_BYTES:
        assert asked.exception(0) is not None
        return
    [answer] = asked.result(0)["Entries"]
    taken = is_taken(text) and text.lstrip().startswith("{")
    assert ("EventId" in answer) is taken, answer
    if not taken:
        assert answer["ErrorCode"] in {"MalformedDetail", "InvalidArgument"}
        return
    shipped.rest()
    if kind in CONSUMED and not _is_valid(kind, text):
        found = {letter["queue"] for letter in shipped.letters(answer["EventId"])}
        assert found == {"QuarantineQueue"}, f"an invalid {kind} is in {found}"


def _is_valid(kind: str, text: str) -> bool:
    try:
        parse({"source": "orders.service", "detail-type": kind, "detail": json.loads(text)})
    except InvalidEvent:
        return False
    return True


def test_a_detail_of_any_json(through: Through, shipped: Shipped) -> None:
    always = [(kind, text) for kind in CONSUMED for text in REPORTED]
    strategy = st.tuples(KINDS, objects | texts)
    through(shipped, strategy, lambda given: ends(shipped, *given), always)


def test_a_detail_that_is_an_order_but_for_one_place(through: Through, shipped: Shipped) -> None:
    details = damaged(st.just(ORDER)).map(json.dumps)
    through(shipped, st.tuples(KINDS, details), lambda given: ends(shipped, *given))


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


def test_entries_of_any_shape(through: Through, small: Small) -> None:
    def put(some: Any) -> None:
        before = small.rows("select count(*) as n from events")[0]["n"]
        request = json_text.write({"Entries": some})
        reply = Port(small.engine).call("AWSEvents.PutEvents", request)
        answers = reply.body["Entries"] if reply.status == 200 else []
        assert reply.status in {200, 400, 413}, reply
        assert all(one.get("ErrorCode", "InvalidArgument") in CODES for one in answers), answers
        accepted = sum("EventId" in one for one in answers)
        assert small.rows("select count(*) as n from events")[0]["n"] == before + accepted

    always: list[Any] = [[{**SOUND, "Resources": one, "Time": one}] for one in REPORTED_VALUES]
    always += [[{**SOUND, name: one}] for name in SOUND for one in REPORTED_VALUES]
    through(small, st.lists(entries, max_size=3) | values, put, [*always, *REPORTED_VALUES])


PATTERNS = (
    "{}",
    '{"source":["shop"]}',
    '{"detail":{"a":[{"numeric":[">",0]}],"b":[{"exists":true}]}}',
)
HEAD = '"id":"1","account":"0","source":"shop","time":"2026-01-01T00:00:00Z","region":"r"'


def test_a_pattern_and_an_event_of_any_json(through: Through, small: Small) -> None:
    def ask(given: tuple[str, str, str]) -> None:
        pattern, text, whole = given
        event = text if whole else f'{{{HEAD},"resources":[],"detail-type":"x","detail":{text}}}'
        request = json_text.write({"EventPattern": pattern, "Event": event})
        reply = Port(small.engine).call("AWSEvents.TestEventPattern", request)
        if reply.status == 200:
            assert reply.body["Result"] in {True, False}
            assert is_taken(event)
        else:
            refusals = {"InvalidEventPatternException", "ValidationException"}
            assert reply.status == 413 or reply.body["__type"] in refusals, reply

    strategy = st.tuples(
        st.sampled_from(PATTERNS) | objects | texts, texts | objects, st.booleans()
    )
    always = [(PATTERNS[1], text, whole) for text in REPORTED for whole in (True, False)]
    through(small, strategy, ask, [*always, *((text, "{}", True) for text in REPORTED)])


@pytest.mark.parametrize("name", ["events.json", "events.ndjson"])
def test_a_file_of_any_json(through: Through, shipped: Shipped, tmp_path: Path, name: str) -> None:
    path = tmp_path / name

    def send(given: tuple[str, str]) -> None:
        kind, text = given
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
        except UnreadableFile as error:  # what begins like a binary file is none of events
            assert "binary" in str(error)
            assert "\0" in lines
        shipped.rest()

    kinds = KINDS | st.just("")
    details = objects | texts | damaged(st.just(ORDER)).map(json.dumps)
    extended = [json.dumps(ORDER)[:-1] + f',"x":{text or 1}}}' for text in REPORTED]
    always = [("Order Created", text) for text in [*REPORTED, *extended]]
    through(shipped, st.tuples(kinds, details), send, [*always, *(("", text) for text in REPORTED)])
