"""Orders whose runs the engine does not start any more, since they failed it again and again.

A run that the engine cannot go on with fails alone, and the reconciler starts the order again. An
order whose runs failed so several times, or ended the process twice, is held: a dead letter says
why, and only its redrive starts the order again.
"""

from collections.abc import Callable
from typing import Any

from infra.local.directory.journal import Journal

FAILURES = 3
"""Runs that the engine could not go on with after which their order is held."""

HELD = "Orderflow.OrderHeld"
"""The error of a run that is not started because its order is held."""

_NOTE = (
    "insert into quarantined_orders values (?, 1, ?, ?, ?) on conflict do update set"
    " failures = failures + 1, held = max(held, excluded.held), reason = excluded.reason,"
    " at = excluded.at"
)

Send = Callable[[str, Any, str, float], None]
"""``(order_id, input, reason, now)``: put the letter of a held order into its queue."""


class QuarantinedOrders:
    """The orders that one engine holds (see the module)."""

    def __init__(self, journal: Journal, send: Send) -> None:
        self.journal = journal
        self.send = send
        rows = journal.database.rows("select order_id, failures, held from quarantined_orders")
        self._failures: dict[str, int] = {row["order_id"]: row["failures"] for row in rows}
        self._held: set[str] = {row["order_id"] for row in rows if row["held"]}

    def holds(self, order_id: str | None) -> bool:
        """Say whether no run of this order is to be started."""
        return order_id in self._held

    def hold(self, order_id: str | None, reason: str, now: float) -> None:
        """Hold an order whose letter exists already."""
        if order_id is not None:
            self._failures.setdefault(order_id, 0)
            self._held.add(order_id)
            self.journal.batch.add(_NOTE, order_id, 1, reason, now)

    def note(self, order_id: str, given: Any, reason: str, now: float, *, final: bool) -> None:
        """Note that a run failed; hold the order if this was the last time.

        ``given`` is the run's input, ``final`` says that the order is not to be tried again.
        """
        failures = self._failures[order_id] = self._failures.get(order_id, 0) + 1
        hold = order_id not in self._held and (final or failures >= FAILURES)
        self.journal.batch.add(_NOTE, order_id, int(hold), reason, now)
        if hold:
            self._held.add(order_id)
            self.send(order_id, given, reason, now)

    def release(self, order_id: str | None) -> None:
        """Let an order's runs be started again: an operator redrives it."""
        if order_id is not None and self._failures.pop(order_id, None) is not None:
            self._held.discard(order_id)
            self.journal.batch.add("delete from quarantined_orders where order_id = ?", order_id)
