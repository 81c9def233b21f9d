"""Mutations of the shipped code, which the simulation must detect.

Each removes one precondition of a promise; `MUTATIONS` has the number of seeds within which it must
be detected.
"""

import threading
from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest

import inventory.store
import kernel.approval
import kernel.lease
import orders.approvals
import orders.early_requests
import orders.model
import orders.usecases
import payments.usecases
import shipping.usecases
import storage.sqlite.records
from infra.errors import InvalidRequest
from infra.local.engine.engine import Engine
from infra.local.engine.targets import QueueTarget
from inventory.model import Move, Receipt
from inventory.store import SQLiteInventory
from kernel.errors import LeaseLost
from kernel.idempotency import charge_id
from kernel.lease import require_active, require_holder
from kernel.money import smallest_units
from kernel.order_record import Message, OrderRecord
from kernel.order_status import Approval, ChargeStatus, ShipmentStatus
from payments.gateway import SandboxGateway
from payments.model import Charge, GatewayRecord
from shipping.carrier import SandboxCarrier
from shipping.model import Shipment
from tests.simulation import letter_mutations
from tests.simulation.world import Mutate


def idempotency_key_dropped(patch: pytest.MonkeyPatch) -> None:
    """Use another idempotency key with each call of the gateway."""
    numbers = count()

    def charge(key: str, *rest: Any) -> Charge:
        return Charge(f"{key}-{next(numbers)}", *rest)

    patch.setattr(payments.usecases, "Charge", charge)


def charged_blindly(patch: pytest.MonkeyPatch) -> None:
    """Repeat a charge with an unknown outcome without a query of its state."""

    def charge(
        record: OrderRecord, ports: payments.usecases.Ports, *, look_up: bool
    ) -> GatewayRecord:
        key = charge_id(record.order_id)
        token = record.payment_token
        amount = smallest_units(record.total, record.currency)
        return ports.gateway.charge(Charge(key, record.order_id, amount, record.currency, token))

    patch.setattr(payments.usecases, "_charge", charge)


def late_charge_unmarked(patch: pytest.MonkeyPatch) -> None:
    """Void an unmade charge without the mark that refuses it later."""

    def void(self: SandboxGateway, key: str) -> GatewayRecord:
        known = self.find(key)
        return known or GatewayRecord(key, ChargeStatus.VOIDED, "none")

    patch.setattr(SandboxGateway, "void", void)


def acknowledged_too_early(patch: pytest.MonkeyPatch) -> None:
    """Answer a caller before the commit of the turn."""

    def answer(self: Engine, request: Any, future: Any, now: float) -> None:
        try:
            future.set_result(request(now))
        except InvalidRequest as error:
            future.set_exception(error)

    patch.setattr(Engine, "_answer", answer)


def delivery_removed_too_early(patch: pytest.MonkeyPatch) -> None:
    """Delete a delivery before its message is committed."""
    send = QueueTarget.deliver

    def deliver(self: QueueTarget, target: Any, delivery: Any, now: float) -> None:
        queues: Any = self._queues
        database = queues.journal.database
        with database.write() as connection:
            connection.execute("delete from deliveries where id = ?", (delivery.id,))
        send(self, target, delivery, now)

    patch.setattr(QueueTarget, "deliver", deliver)


def release_skipped(patch: pytest.MonkeyPatch) -> None:
    """Keep the units of a released reservation reserved."""
    patch.setitem(inventory.store._MOVES, Move.RELEASE, "reserved = reserved + 0 * :units")  # noqa: SLF001 - the mutation is of this very step


def receipt_counted_twice(patch: pytest.MonkeyPatch) -> None:
    """Add the units of a stock file each time it is received."""
    receive = SQLiteInventory.receive
    numbers = count()

    def receive_anew(self: SQLiteInventory, receipt: Receipt, at: float) -> bool:
        return receive(self, Receipt(f"{receipt.digest}-{next(numbers)}", receipt.units), at)

    patch.setattr(SQLiteInventory, "receive", receive_anew)


def fence_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Allow writes of a late handler or a superseded run."""

    def require_holder(record: OrderRecord, epoch: int) -> OrderRecord:
        if record.ended:
            raise LeaseLost(f"order {record.order_id} is {record.status}, not at epoch {epoch}")
        return record

    for module in (kernel.lease, orders.model, orders.usecases, payments.usecases):
        patch.setattr(module, "require_holder", require_holder)


def event_dropped(patch: pytest.MonkeyPatch) -> None:
    """Omit a refund's event from the transaction of the refund."""
    add = storage.sqlite.records.add_message

    def add_message(connection: Any, message: Message, at: float) -> None:
        if message.body.get("DetailType") != "Payment Refunded":
            add(connection, message, at)

    patch.setattr(storage.sqlite.records, "add_message", add_message)


def cancellation_unseen(patch: pytest.MonkeyPatch) -> None:
    """Write a shipment without a check for a cancellation meanwhile."""
    record = shipping.usecases._record  # noqa: SLF001 - mutated
    writing = threading.local()  # each paused handler has a thread

    def record_unseeing(*arguments: Any) -> shipping.usecases.Outcome:
        writing.now = True
        try:
            return record(*arguments)
        finally:
            writing.now = False

    def require_active_unseeing(order: OrderRecord, epoch: int) -> OrderRecord:
        unseeing = getattr(writing, "now", False)
        return require_holder(order, epoch) if unseeing else require_active(order, epoch)

    patch.setattr(shipping.usecases, "_record", record_unseeing)
    patch.setattr(shipping.usecases, "require_active", require_active_unseeing)


def late_shipment_unmarked(patch: pytest.MonkeyPatch) -> None:
    """Void a shipment that the carrier does not know without the mark that refuses it later."""
    void = SandboxCarrier.void

    def void_known(self: SandboxCarrier, shipment_id: str) -> Shipment:
        known = "select 1 from carrier_shipments where shipment_id = ?"
        if self.database.row(known, shipment_id):
            return void(self, shipment_id)
        return Shipment(shipment_id, ShipmentStatus.VOIDED, "none")

    patch.setattr(SandboxCarrier, "void", void_known)


def reconciler_off(patch: pytest.MonkeyPatch) -> None:
    """Switch the reconciler off."""
    patch.setattr(orders.usecases, "reconcile", lambda ports: orders.usecases.Reconciled(0, 0))


def early_request_overlooked(patch: pytest.MonkeyPatch) -> None:
    """Write an order although earlier requests are kept for it."""
    patch.setattr(storage.sqlite.records, "_INSERT_FIRST", vars(storage.sqlite.records)["_INSERT"])


def sender_not_told(patch: pytest.MonkeyPatch) -> None:
    """Tell no sender that its request expired."""
    patch.setattr(orders.early_requests, "rejection", lambda *_: None)


def approval_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Charge an order whose decision was asked for and has not come."""
    require_approved = kernel.approval.require_approved

    def require_decided(record: OrderRecord, thresholds: Any, now: float) -> None:
        if record.approval is not Approval.PENDING:
            require_approved(record, thresholds, now)

    patch.setattr(payments.usecases, "require_approved", require_decided)


def decision_overwritten(patch: pytest.MonkeyPatch) -> None:
    """Take a decision about an order that was decided before."""
    require_pending = orders.approvals._require_pending  # noqa: SLF001 - mutated

    def require_undecided(record: OrderRecord, now: float) -> None:
        if record.approval not in (Approval.APPROVED, Approval.REJECTED) or record.ended:
            require_pending(record, now)

    patch.setattr(orders.approvals, "_require_pending", require_undecided)


MUTATIONS: Mapping[str, tuple[int, Mutate]] = {
    "idempotency key dropped": (10, idempotency_key_dropped),
    "charged blindly": (700, charged_blindly),
    "late charge unmarked": (400, late_charge_unmarked),
    "acknowledged too early": (50, acknowledged_too_early),
    "delivery removed too early": (150, delivery_removed_too_early),
    "release skipped": (10, release_skipped),
    "receipt counted twice": (50, receipt_counted_twice),
    "fence forgotten": (400, fence_forgotten),
    "event dropped": (10, event_dropped),
    "cancellation unseen": (400, cancellation_unseen),
    "late shipment unmarked": (450, late_shipment_unmarked),
    "reconciler off": (10, reconciler_off),
    "early request overlooked": (50, early_request_overlooked),
    "sender not told": (50, sender_not_told),
    "approval forgotten": (10, approval_forgotten),
    "decision overwritten": (50, decision_overwritten),
    **letter_mutations.MUTATIONS,
}
"""Each mutation with the number of seeds, counted from 1, within which it is detected."""
