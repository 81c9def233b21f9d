"""Fuzz the platform's internal inputs: messages, results, outbox rows and metrics."""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from infra.local.workers.execution_environment import ExecutionEnvironment
from kernel import json_text
from tests.fakes.runtime import FunctionError, flow, task
from tests.fuzz.conftest import Fuzz
from tests.fuzz.platforms import Shipped, Small
from tests.fuzz.texts import REPORTED, REPORTED_VALUES, objects, texts, values
from tests.host import order
from tests.strategies import damaged


def test_a_message_of_any_text(fuzz: Fuzz, shipped: Shipped) -> None:
    """A consumer takes the message, or it is in a dead-letter queue."""

    def send(case: tuple[str, str]) -> None:
        queue, text = case
        queues = shipped.engine.queues
        shipped.engine.call(lambda now: queues.send(queue, text, {}, now))
        shipped.rest()
        pending = shipped.rows("select * from messages where queue = ?", queue)
        assert not pending

    queues = ("OrderChangesQueue", "HighValueQueue", "ConfirmationsQueue")
    envelopes = damaged(st.just({"version": "0", "id": "1", **order("A-1")})).map(json.dumps)
    strategy = st.tuples(st.sampled_from(queues), objects | texts | envelopes)
    fixed = [(queue, text) for queue in queues for text in REPORTED]
    fuzz(shipped, strategy, send, fixed)


Behaviour = Callable[[], Any]


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def _circular() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


def _raised(error: BaseException) -> Any:
    raise error


def _printed(text: str) -> Any:
    sys.stdout.write(text)


def _given(value: Any) -> Any:
    return value


ODD: list[Behaviour] = [
    lambda: float("nan"),
    lambda: 10**5_000,
    lambda: {1: 2},
    lambda: {(1,): 2},
    lambda: {"a": {1, 2}},
    lambda: b"bytes",
    lambda: "\ud800",
    lambda: {"\ud800": 1},
    object,
    lambda: _deep(1_001),
    lambda: _deep(50_000),
    _circular,
    partial(_printed, '{"_aws": "\ud800"}'),
    partial(_printed, "\ud800"),
]
"""Results of a handler that are not JSON, or at its limits."""


class Unspeakable(Exception):
    """An error whose message cannot be read."""

    def __str__(self) -> str:
        raise ValueError("no words")


ERRORS = (
    *(
        MemoryError(),
        RecursionError(),
        KeyError("\ud800"),
        OSError(5, "x" * 100_000),
        Unspeakable(),
    ),
    *(UnicodeEncodeError("utf-8", "\ud800", 0, 1, "half"), ExceptionGroup("two", [ValueError()])),
    *(StopIteration(5), AssertionError(), type("É" * 300, (Exception,), {})("odd name")),
)


class Handlers:
    """The functions of the small template, with a behaviour, in an execution environment."""

    def __init__(self, small: Small, log: Path) -> None:
        self.behaviour: Behaviour | None = None
        small.handlers |= dict.fromkeys(("Step", "Worker", "Tick"), self._called)
        outline: dict[str, Any] = {"name": "Step", "handler": "none", "arn": "a", "memory": 1}
        outline |= {"timeout": 1, "variables": {}}
        self.environment = ExecutionEnvironment({"Step": outline}, log)
        self.environment._handlers["Step"] = lambda _event, _: (  # noqa: SLF001 - it has no module
            self.behaviour() if self.behaviour else {"x": 1}
        )

    def _called(self, event: Any) -> Any:
        answer, error, _ = self.environment.invoke("Step", json_text.write(event), 0.0)
        if error:
            body = json_text.parse(error)
            raise FunctionError(body["errorType"], body["errorMessage"])
        return json_text.parse(answer)


FLOW = flow(
    First=task(ResultSelector={"all.$": "$", "x.$": "$.x"}, Catch=[], Next="Second"),
    Second=task(ResultPath="$.again"),
)
failures = st.lists(
    st.fixed_dictionaries({"itemIdentifier": values | st.text(max_size=3)}) | values, max_size=3
)
answers = values | st.fixed_dictionaries({"batchItemFailures": failures | values})


def test_an_answer_of_any_kind(fuzz: Fuzz, folder: Path, tmp_path: Path) -> None:
    """A result of any kind is accepted, or the call has failed."""
    small = Small(folder, flow=FLOW)
    handlers = Handlers(small, tmp_path / "log")

    def answer(behaviour: Behaviour) -> None:
        handlers.behaviour = behaviour
        name = small.engine.executions.new_name()
        small.rig.start(name, {"order_id": "A-1"})
        small.rig.send("one", "two")
        small.engine.run_schedule("Tick")
        direct = small.engine.call_function("Step", {})
        small.rest()
        handlers.behaviour = None
        assert small.rig.execution(name)["status"] in {"SUCCEEDED", "FAILED"}
        assert not small.rig.queue("Work")
        assert direct.done()

    returning: st.SearchStrategy[Behaviour] = answers.map(lambda value: partial(_given, value))
    raising = st.sampled_from(ERRORS).map(lambda error: partial(_raised, error))
    strategy: st.SearchStrategy[Behaviour] = returning | st.sampled_from(ODD) | raising
    fixed: list[Behaviour] = [*ODD, *(partial(_raised, error) for error in ERRORS)]
    fixed += [partial(_given, value) for value in REPORTED_VALUES]
    try:
        fuzz(small, strategy, answer, fixed)
    finally:
        small.close()
        handlers.environment.close()


ENTRY = {
    "EventBusName": "orders-bus",
    "Source": "orders.service",
    "DetailType": "Order Completed",
    "Detail": json.dumps(order("A-1")["detail"]),
    "Resources": [],
    "Time": "2026-01-31T12:00:00Z",
}
BODIES = (
    ENTRY,
    {"name": "run-1", "input": order("A-1")},
    {"queue": "QuarantineQueue", "body": {"order_id": "A-1"}},
)
bodies = st.one_of(objects | texts, *(damaged(st.just(body)).map(json.dumps) for body in BODIES))


def test_an_outbox_row_of_any_json(fuzz: Fuzz, shipped: Shipped) -> None:
    """The row is published, or becomes a dead letter."""

    def put(case: tuple[str, str]) -> None:
        kind, body = case
        before = _counted(shipped)
        with shipped.host.database.write() as connection:
            query = "insert into outbox (kind, body, created_at) values (?, ?, 0)"
            connection.execute(query, (kind, body.encode(errors="replace").decode()))
        shipped.engine.call_function("ReconcileFunction", {})
        shipped.rest()
        assert _counted(shipped) > before

    shipped.expected = {"outbox"}
    kinds = ("event", "run", "message")
    fixed = [(kind, text) for kind in kinds for text in (*REPORTED, '{"order_id":"\\ud800"}')]
    fuzz(shipped, st.tuples(st.sampled_from(kinds), bodies), put, fixed)


def _counted(shipped: Shipped) -> int:
    """Return the number of events, executions and messages, with each message's repetitions."""
    tables = ("events", "executions", "messages")
    counts = (f"select count(*) as n from {table}" for table in tables)
    merged = "select coalesce(sum(json_extract(attributes, '$.TIMES')), 0) as n from messages"
    return sum(int(shipped.rows(query)[0]["n"]) for query in (*counts, merged))


LINE = {
    "_aws": {
        "Timestamp": 1,
        "CloudWatchMetrics": [
            {"Namespace": "N", "Dimensions": [["d"]], "Metrics": [{"Name": "m", "Unit": "Count"}]}
        ],
    },
    "d": "x",
    "m": 1,
}


def test_a_metric_line_of_any_json(fuzz: Fuzz, small: Small) -> None:
    """The line is counted, or counted as malformed."""

    def measure(lines: list[str]) -> None:
        small.engine.call_function("Other", {})
        small.handlers.pop("Other", None)
        small.rig.functions.handlers = small.handlers
        small.rig.turn()
        call = small.rig.functions.calls[-1]
        small.rig.functions.answer(call, None, lines)
        small.rest()
        assert small.rows("select sum(count) as n from metrics")[0]["n"] >= 1

    numbers = ["1e308", "-1e308", '"nan"', '"inf"', "[1,2]", "[]", "true", "null", '"5"', "9e99"]
    valued = st.sampled_from(numbers).map(
        lambda number: json.dumps(LINE).replace('"m": 1}', f'"m": {number}}}')
    )
    lines = objects | texts | damaged(st.just(LINE)).map(json.dumps) | valued
    fixed = [[json.dumps(LINE).replace('"m": 1}', f'"m": {number}}}')] * 3 for number in numbers]
    fuzz(small, st.lists(lines, min_size=1, max_size=3), measure, [*fixed, list(REPORTED)])
