"""A run's history as visits, and its graph as SVG."""

import json
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

import pytest

from infra.asl import HistoryEvent
from infra.views.exact_json import Change
from infra.views.run_graph import graph
from infra.views.run_story import MAX_CHANGES, RunStory, StateVisit, visits_of
from infra.views.workflow import definition_of

Row = tuple[int, int, float, str, dict[str, Any]]


def events(*rows: Row) -> list[HistoryEvent]:
    return [HistoryEvent(*row) for row in rows]


RETRIED = events(
    (1, 0, 0.0, "ExecutionStarted", {}),
    (2, 0, 0.0, "TaskStateEntered", {"name": "Pay", "input": {"a": 1}}),
    (3, 2, 0.1, "TaskScheduled", {"resource": "invoke", "resourceType": "lambda",
                                  "parameters": {"FunctionName": "arn:x:function:PayFunction"}}),
    (4, 3, 0.5, "TaskFailed", {"error": "Timeout", "cause": "slow"}),
    (5, 4, 1.5, "TaskScheduled", {"resource": "invoke", "resourceType": "lambda"}),
    (6, 5, 1.7, "TaskSucceeded", {"output": {}}),
    (7, 6, 1.8, "TaskStateExited", {"name": "Pay", "output": {"a": 1, "b": 2}}),
    (8, 7, 1.8, "SucceedStateEntered", {"name": "Done", "input": {}}),
    (9, 8, 1.9, "SucceedStateExited", {"name": "Done", "output": {}}),
)  # fmt: skip


def test_attempts_belong_to_their_visit() -> None:
    pay, done = visits_of(RETRIED, is_running=False)
    assert (pay.status, len(pay.attempts), pay.seconds(9)) == ("retried", 2, 1.8)
    assert (pay.attempts[0].error, pay.attempts[0].resource) == ("Timeout", "PayFunction")
    assert (done.came_from, done.status) == ("Pay", "succeeded")


@pytest.mark.parametrize(
    ("count", "run", "status"),
    [
        (3, "RUNNING", "running"),
        (3, "TIMED_OUT", "failed"),
        (4, "RUNNING", "running"),
        (4, "FAILED", "failed"),
    ],
)
def test_an_open_visit_runs_or_has_failed(count: int, run: str, status: str) -> None:
    [visit] = visits_of(RETRIED[:count], is_running=run == "RUNNING")
    assert visit.status == status
    assert visit.seconds(10.0) == 10.0


def test_an_error_that_a_catcher_takes_is_caught() -> None:
    caught = [*RETRIED[:4], *events((5, 4, 0.6, "TaskStateExited", {"name": "Pay", "output": {}}))]
    [visit] = visits_of(caught, is_running=False)
    assert (visit.status, visit.error) == ("caught", "Timeout")


def test_branches_are_not_mixed_up() -> None:
    rows: Sequence[Row] = (
        (1, 0, 0.0, "ParallelStateEntered", {"name": "Both", "input": {}}),
        (2, 1, 0.0, "TaskStateEntered", {"name": "Left", "input": {}}),
        (3, 1, 0.0, "TaskStateEntered", {"name": "Right", "input": {}}),
        (4, 2, 0.1, "TaskScheduled", {}),
        (5, 3, 0.1, "TaskScheduled", {}),
        (6, 5, 0.2, "TaskFailed", {"error": "Broken"}),
        (7, 4, 0.3, "TaskSucceeded", {"output": 1}),
        (8, 7, 0.4, "TaskStateExited", {"name": "Left", "output": 1}),
    )
    both, left, right = visits_of(events(*rows), is_running=True)
    assert (both.status, left.status, right.status) == ("running", "succeeded", "running")
    assert (left.error, right.error) == (None, "Broken")


def test_changes_name_the_paths_that_differ() -> None:
    visit = StateVisit(1, "Left", "Task", 0.0, {"a": 1, "b": {"c": 2}, "e": 1, "f": None})
    visit.output = {"a": 1, "b": {"c": 3}, "d": 4, "e": True}
    assert visit.changes() == [
        Change("$.b.c", "2", "3"),
        Change("$.e", "1", "true"),
        Change("$.f", "null", None),
        Change("$.d", None, "4"),
    ]
    visit.output = dict.fromkeys(map(str, range(5_000)))
    assert len(visit.changes()) == MAX_CHANGES


class Shapes(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def story(history: Sequence[HistoryEvent], definition: dict[str, Any]) -> RunStory:
    visits = visits_of(history, is_running=False)
    return RunStory(
        name="run",
        machine="machine",
        kind="EXPRESS",
        status="SUCCEEDED",
        started=0.0,
        ended=2.0,
        error=None,
        cause=None,
        definition_id="x",
        definition=definition,
        visits=visits,
        events=history,
        is_complete=True,
    )


CATCH = [{"ErrorEquals": ["E"], "Next": "No"}]
HOSTILE = '"><script>alert(1)</script>'


def test_every_state_of_the_shipped_workflow_is_a_link() -> None:
    _, definition = definition_of("order_processing")
    svg = graph(story([], definition), lambda state: f"?state={state}", "", 0.0)
    states = [given["data-state"] for tag, given in Shapes(svg).tags if tag == "a"]
    assert len(states) == len(set(states)) > 25
    assert "<style" not in svg
    assert " style=" not in svg
    assert svg.count("edge catch") == 0
    wanted = graph(story([], definition), lambda state: state, "", 0.0, errors=True)
    assert wanted.count("edge catch") > 20
    assert boxes_of(svg) == boxes_of(wanted)


def boxes_of(svg: str) -> list[tuple[str | None, ...]]:
    """Return the positions of the states."""
    return [
        tuple(given.get(name) for name in ("x", "y", "width", "height"))
        for tag, given in Shapes(svg).tags
        if tag == "rect"
    ]


def test_the_taken_way_and_the_retries_are_drawn() -> None:
    definition = {
        "StartAt": "Pay",
        "States": {
            "Pay": {"Type": "Task", "Next": "Done", "Catch": CATCH},
            "Done": {"Type": "Succeed"},
            "No": {"Type": "Fail"},
        },
    }  # fmt: skip
    svg = graph(story(RETRIED, definition), lambda state: state, "Pay", 2.0)
    assert "state Task retried selected" in svg
    assert "\N{MULTIPLICATION SIGN}2" in svg
    assert svg.count(" taken") == 1
    assert "state Fail unreached" in svg


def test_names_of_states_stay_text() -> None:
    definition = {"StartAt": HOSTILE, "States": {HOSTILE: {"Type": "Succeed", "Comment": HOSTILE}}}
    svg = graph(story([], definition), lambda state: f"?state={state}", HOSTILE, 0.0)
    assert "<script" not in svg
    assert [tag for tag, _ in Shapes(svg).tags if tag == "script"] == []
    assert json.dumps(definition)


def test_a_redriven_task_has_one_visit_with_both_attempts() -> None:
    told: Sequence[tuple[str, int, dict[str, Any]]] = (
        ("ExecutionStarted", 0, {}),
        ("TaskStateEntered", 0, {"name": "Pay", "input": 1}),
        ("TaskScheduled", 2, {"resourceType": "lambda", "resource": "invoke"}),
        ("TaskFailed", 3, {"error": "Down", "cause": "told to"}),
        ("ExecutionFailed", 4, {"error": "Down"}),
        ("ExecutionRedriven", 5, {"redriveCount": 1}),
        ("TaskScheduled", 6, {"resourceType": "lambda", "resource": "invoke"}),
        ("TaskSucceeded", 7, {}),
        ("TaskStateExited", 8, {"name": "Pay", "output": 2}),
    )
    events = [
        HistoryEvent(number, before, float(number), kind, details)
        for number, (kind, before, details) in enumerate(told, start=1)
    ]
    [visit] = visits_of(events, is_running=False)
    assert (visit.status, visit.output, len(visit.attempts)) == ("retried", 2, 2)
    [failed] = visits_of(events[:5], is_running=False)
    assert (failed.status, failed.error) == ("failed", "Down")


def test_a_redrive_of_a_stopped_execution_continues_its_open_visit() -> None:
    events = [
        HistoryEvent(1, 0, 1.0, "TaskStateEntered", {"name": "Pay"}),
        HistoryEvent(2, 1, 2.0, "TaskScheduled", {}),
        HistoryEvent(3, 0, 3.0, "ExecutionAborted", {"error": "Halt"}),
        HistoryEvent(4, 3, 4.0, "ExecutionRedriven", {"redriveCount": 1}),
        HistoryEvent(5, 4, 5.0, "TaskScheduled", {}),
    ]
    [visit] = visits_of(events, is_running=True)
    assert (visit.status, len(visit.attempts)) == ("running", 2)
