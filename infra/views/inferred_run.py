"""A run as the timeline of its order tells it, where no history is kept: an EXPRESS run on AWS.

A step writes an entry of the timeline with its effect, so an entry proves the visit of its state. A
Choice between two such states is visited too if it is the only way. Nothing else is known: states
without an effect, attempts, input and output.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from infra.asl.graph import Graph, graph_of
from infra.views.order_story import OrderStory, StoryRun, TimelineEntry
from infra.views.run_story import INFERRED, RunStory, StateVisit

STATES: Mapping[str, str] = {
    "RECEIVED": "ValidateOrder",
    "CLAIMED": "ValidateOrder",
    "STOCK_RESERVED": "CheckInventory",
    "CHARGE_PENDING": "ProcessPayment",
    "CHARGED": "ProcessPayment",
    "CHARGE_CHARGED": "ProcessPayment",
    "CHARGE_DECLINED": "ProcessPayment",
    "APPROVAL_REQUESTED": "RequestApproval",
    "STOCK_COMMITTED": "UpdateInventory",
    "SHIPMENT_CREATED": "CreateShipment",
    "COMPLETED": "OrderCompleted",
    "WAITING": "PauseOrder",
    "COMPENSATING": "Compensate",
    "SHIPMENT_VOIDED": "VoidShipment",
    "CHARGE_REFUNDED": "RefundPayment",
    "STOCK_RELEASED": "ReleaseInventory",
    "STOCK_RESTOCKED": "ReleaseInventory",
    "FAILED": "OrderFailed",
    "CANCELLED": "OrderFailed",
}
"""The state of ``order_processing`` that writes an entry of the timeline."""

_STARTS = ("RECEIVED", "CLAIMED")


@dataclass(frozen=True, slots=True)
class InferredRun:
    """A run with the entries of each state that it has visited."""

    story: RunStory
    entries: Mapping[str, Sequence[TimelineEntry]]


@dataclass
class _Reading:
    """The visits of one run, as they are inferred."""

    graph: Graph
    containers: Mapping[str, str]
    visits: list[StateVisit] = field(default_factory=list)
    entries: dict[str, list[TimelineEntry]] = field(default_factory=dict)
    last: str = ""

    def add(self, entry: TimelineEntry, state: str) -> None:
        """Add the visit of a state that an entry proves."""
        self.entries.setdefault(state, []).append(entry)
        at = _seconds(entry.at)
        outer = self.containers.get(state, state)
        if outer != self.last:
            for between in (*_between(self.graph, self.last, outer), outer):
                self._visit(between, self.graph.nodes[between].kind, at)
        if state != outer and all(visit.state != state for visit in self.visits):
            self.visits.append(_visit(state, "Task", at, "", len(self.visits) + 1))

    def _visit(self, state: str, kind: str, at: float) -> None:
        self.visits.append(_visit(state, kind, at, self.last, len(self.visits) + 1))
        self.last = state


def infer(
    story: OrderStory, run: StoryRun, definition: Mapping[str, Any], kind: str
) -> InferredRun | None:
    """Return a run as its order's timeline tells it; None if the timeline does not name it.

    States that the definition lacks are left out.
    """
    entries = list(_entries_of(story.timeline, run.name))
    if not entries:
        return None
    graph = graph_of(definition)
    reading = _Reading(graph, _containers(graph))
    for entry in entries:
        state = STATES.get(entry.what)
        if state is not None and (state in graph.nodes or state in reading.containers):
            reading.add(entry, state)
    times = [_seconds(entry.at) for entry in entries]
    shown = RunStory(
        name=run.name,
        machine=run.machine,
        kind=kind,
        status=run.status or "",
        started=times[0],
        ended=times[-1],
        error=run.error,
        cause=None,
        definition_id="",
        definition=definition,
        visits=reading.visits,
        events=(),
        is_complete=False,
    )
    return InferredRun(shown, reading.entries)


def _entries_of(timeline: Sequence[TimelineEntry], name: str) -> Iterator[TimelineEntry]:
    """Yield the entries from the start of a run to the start of the next."""
    is_own = False
    for entry in timeline:
        if entry.what in _STARTS:
            is_own = entry.detail.get("run") == name
        if is_own:
            yield entry


def _containers(graph: Graph) -> dict[str, str]:
    """Return the state of the highest level for each state within it."""
    return {
        inner: name
        for name, node in graph.nodes.items()
        for part in node.parts
        for inner in (*part.nodes, *_containers(part))
    }


def _between(graph: Graph, source: str, target: str) -> Sequence[str]:
    """Return the Choices between two states, if one way alone leads through Choices."""
    ways = [
        edge.target
        for edge in graph.edges
        if edge.source == source
        and edge.target in graph.nodes
        and graph.nodes[edge.target].kind == "Choice"
        and any(each.source == edge.target and each.target == target for each in graph.edges)
    ]
    is_direct = any(edge.source == source and edge.target == target for edge in graph.edges)
    return ways if len(set(ways)) == 1 and not is_direct else ()


def _visit(state: str, kind: str, at: float, came_from: str, number: int) -> StateVisit:
    return StateVisit(
        number=number,
        state=state,
        kind=kind,
        entered=at,
        input=None,
        came_from=came_from,
        exited=at,
        status=INFERRED,
    )


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
