"""Orders whose runs the engine no longer starts, because they failed repeatedly.

A run that the engine cannot continue fails alone, and the reconciler starts the order again. An
order whose runs failed `FAILURES` times in this way, or ended the process twice, is held: a dead
letter has the reason, and only its redrive starts the order again.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from infra.local.directory.journal import Journal
from infra.local.orderflow import Profile
from kernel import json_text

FAILURES = 3
"""Failed runs after which their order is held."""

HELD = "Orderflow.OrderHeld"
"""The error of a run that is not started because its order is held."""

_NOTE = (
    "insert into quarantined_orders values (?, 1, ?, ?, ?) on conflict do update set"
    " failures = failures + 1, held = max(held, excluded.held), reason = excluded.reason,"
    " at = excluded.at"
)

Send = Callable[[str, str, Mapping[str, str], float], object]
"""``(queue, body, attributes, now)``: send a message."""


class QuarantinedOrders:
    """The orders that one engine holds (see the module).

    ``undo`` gets the functions that roll changes back in memory, as of any failed item.
    """

    def __init__(
        self, journal: Journal, send: Send, profile: Profile, undo: list[Callable[[], object]]
    ) -> None:
        self.journal = journal
        self.undo = undo
        self.send = send
        self.profile = profile
        rows = journal.database.rows("select order_id, failures, held from quarantined_orders")
        self._failures: dict[str, int] = {row["order_id"]: row["failures"] for row in rows}
        self._held: set[str] = {row["order_id"] for row in rows if row["held"]}

    def holds(self, order_id: str | None) -> bool:
        """Return whether no run of this order may start."""
        return order_id in self._held

    def hold(self, order_id: str | None, reason: str, now: float) -> None:
        """Hold an order that has a dead letter already."""
        if order_id is not None:
            self._can_undo(order_id)
            self._failures.setdefault(order_id, 0)
            self._held.add(order_id)
            self.journal.batch.add(_NOTE, order_id, 1, reason, now)

    def note(self, order_id: str, run_input: Any, reason: str, now: float, *, final: bool) -> None:
        """Count a failed run; hold the order if it was the last one allowed.

        Parameters
        ----------
        order_id : str
            The run's order.
        run_input : Any
            The run's input, for the dead letter.
        reason : str
            Why the run failed.
        now : float
            The time, in epoch seconds.
        final : bool
            Whether the order is held at once.
        """
        self._can_undo(order_id)
        failures = self._failures[order_id] = self._failures.get(order_id, 0) + 1
        hold = order_id not in self._held and (final or failures >= FAILURES)
        self.journal.batch.add(_NOTE, order_id, int(hold), reason, now)
        if hold:
            self._held.add(order_id)
            self._send_dead_letter(order_id, run_input, reason, now)

    def release(self, order_id: str | None) -> None:
        """Allow runs of an order again: an operator redrives it."""
        if order_id is not None and order_id in self._failures:
            self._can_undo(order_id)
            del self._failures[order_id]
            self._held.discard(order_id)
            self.journal.batch.add("delete from quarantined_orders where order_id = ?", order_id)

    def _can_undo(self, order_id: str) -> None:
        failures, held = self._failures.get(order_id), order_id in self._held
        self.undo.append(partial(self._restore, order_id, failures, held=held))

    def _restore(self, order_id: str, failures: int | None, *, held: bool) -> None:
        """Undo a change of an order whose item has failed."""
        if failures is None:
            self._failures.pop(order_id, None)
        else:
            self._failures[order_id] = failures
        (self._held.add if held else self._held.discard)(order_id)

    def _send_dead_letter(self, order_id: str, run_input: Any, reason: str, now: float) -> None:
        """Send the dead letter of a held order, in the form of the queue's other dead letters."""
        body = {
            "reason": {"error": "OrderHeld", "message": f"order {order_id}: {reason}"},
            "consumer": self.profile.order_consumer,
            "event": run_input,
        }
        self.send(self.profile.held_orders, json_text.write(body).decode(), {}, now)
