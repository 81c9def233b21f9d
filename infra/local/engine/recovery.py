"""Recovery after a crash: a new engine resumes the work of the process before it.

All state is in the journal, so recovery reads it and repeats work at most:

1. SQLite rolls back the turn that was not committed; no caller was answered and no function called
   on its behalf.
2. The crash marker (`infra.local.directory.crash_marker`) names the items that were being handled.
   `Suspects` counts the crashes of each: after the first, the item is handled alone; after the
   second, it is quarantined.
3. Each component resumes: messages that were handed to a function become visible again, and running
   executions are loaded and repeat their open tasks. Deliveries, outbox rows, schedules and
   redriven dead letters need nothing, because every turn reads them from the journal.
4. The engine commits all of that. Only then is the marker cleared (`infra.local.platform`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from infra.local.directory.crash_marker import Item, Kind
from infra.local.engine.component import Component
from infra.local.engine.crash_suspects import Suspects
from infra.local.engine.error_boundary import Boundary
from infra.local.engine.quarantined_orders import QuarantinedOrders
from infra.local.orderflow import order_id_in
from infra.local.template.stack import Target
from kernel import json_text

_EVENT_OF_DELIVERY = (
    "select d.target, e.envelope from deliveries d join events e on e.seq = d.event_seq"
    " where d.id = ?"
)
_RUN_IN_OUTBOX = "select body from outbox where id = ? and kind = 'run'"


class Recovery:
    """The recovery of one engine.

    Parameters
    ----------
    components : Mapping[Kind, Component]
        The engine's components, by the kind of their items.
    boundary : Boundary
        The error boundary around each item that is quarantined.
    targets : Mapping[str, Target]
        The rule targets, by their keys in the journal.
    quarantined_orders : QuarantinedOrders
        Gets the orders whose run would start from a quarantined item.
    order_machine : str
        The state machine that processes orders.
    """

    def __init__(
        self,
        components: Mapping[Kind, Component],
        boundary: Boundary,
        targets: Mapping[str, Target],
        quarantined_orders: QuarantinedOrders,
        order_machine: str,
    ) -> None:
        self.components = components
        self.journal = boundary.journal
        self.boundary = boundary
        self.targets = targets
        self.quarantined_orders = quarantined_orders
        self.order_machine = order_machine

    def run(self, interrupted: Sequence[Item], now: float) -> list[str]:
        """Add the recovery to the turn's batch; return a message for each quarantined item.

        ``interrupted`` are the items that the process before was handling when it ended.
        """
        suspects = Suspects(self.journal, interrupted, now)
        messages = [self._quarantine(item, now) for item in suspects.to_quarantine]
        for component in self.components.values():
            component.resume(suspects, now)
        return messages

    def _quarantine(self, item: Item, now: float) -> str:
        """End an item as its own failure would, and record the failure."""
        reason = f"handling {item} ended the process twice; it is not tried again"
        component = self.components.get(item.kind)
        if component is not None:  # else a request or an event that ended with its process
            for number in range(item.first, item.last + 1):
                self._hold_order_of(item.kind, number, reason, now)
                self.boundary.attempt(item.kind, number, component.quarantine, number, reason, now)
        self.boundary.failures.add(item, "ProcessEnded", reason)
        return f"{item}: {reason}"

    def _hold_order_of(self, kind: Kind, number: int, reason: str, now: float) -> None:
        """Hold the order whose run a delivery or an outbox row would start."""
        database, run_input = self.journal.database, None
        if kind is Kind.DELIVERY:
            row = database.row(_EVENT_OF_DELIVERY, number)
            if row is not None and self._starts_orders(row["target"]):
                run_input = json_text.parse(row["envelope"])
        elif kind is Kind.OUTBOX:
            row = database.row(_RUN_IN_OUTBOX, number)
            run_input = row and json_text.parse(row["body"]).get("input")
        self.quarantined_orders.hold(order_id_in(run_input), reason, now)

    def _starts_orders(self, key: Any) -> bool:
        target = self.targets.get(key)
        return target is not None and target.name == self.order_machine
