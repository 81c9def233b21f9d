"""PutEvents: an event of any JSON is refused, or goes to its end, and nobody else notices."""

import json
from typing import Any

from hypothesis import strategies as st

from shared.batches import MAX_BYTES
from shared.errors import InvalidEvent
from shared.events import parse
from tests.doors.conftest import Through
from tests.doors.platforms import Shipped, Small
from tests.doors.texts import is_taken, objects, texts, values
from tests.fakes.runtime import BUS, entry
from tests.host import order
from tests.strategies import damaged

CONSUMED = ("Order Created", "Order Updated", "Order Cancelled")
"""Events that a workflow or a function takes."""

KINDS = st.sampled_from([*CONSUMED, "Order Completed", "Order Teleported"])
ORDER = order("A-1")["detail"]


def ends(shipped: Shipped, kind: str, text: str) -> None:
    """Put an event; see that it is refused or accepted, and that a person sees what is invalid."""
    fields = {"Source": "orders.service", "DetailType": kind, "Detail": text}
    entries = [{"EventBusName": "orders-bus", **fields}]
    asked = shipped.engine.call(lambda now: shipped.engine.bus.put(entries, now))
    shipped.engine.turn(0.0)
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
    through(shipped, st.tuples(KINDS, objects | texts), lambda given: ends(shipped, *given))
