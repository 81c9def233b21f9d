"""Mistakes made on purpose, to see that the simulation finds them.

Each takes away one thing that a promise rests on; `MUTATIONS` says within how many seeds it is to
be caught.
"""

import threading
from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest

import inventory.store
import orders.usecases
import payments.usecases
import shipping.usecases
import storage.sqlite.database
from infra.local.engine.engine import Engine
from infra.local.engine.targets import QueueTarget
from inventory.model import Move, Receipt
from inventory.store import SQLiteInventory
from kernel.errors import LeaseLost
from kernel.order_record import ChargeStatus, Message, OrderRecord, ShipmentStatus
from payments.gateway import SandboxGateway
from payments.model import Charge, GatewayRecord, charge_id
from shipping.carrier import SandboxCarrier
from shipping.model import Shipment
from tests.simulation.world import Mutate


def idempotency_key_dropped(patch: pytest.MonkeyPatch) -> None:
    """The gateway gets another key with each call."""
    numbers = count()

    def charge(key: str, *rest: Any) -> Charge:
        return Charge(f"{key}-{next(numbers)}", *rest)

    patch.setattr(payments.usecases, "Charge", charge)


def charged_blindly(patch: pytest.MonkeyPatch) -> None:
    """A charge whose outcome is unknown is made again, unasked whether it stands."""

    def ask(record: OrderRecord, ports: payments.usecases.Ports) -> GatewayRecord:
        key = charge_id(record.order_id)
        token = record.payment_token
        return ports.gateway.charge(
            Charge(key, record.order_id, record.total, record.currency, token)
        )

    patch.setattr(payments.usecases, "_ask", ask)


def late_charge_unmarked(patch: pytest.MonkeyPatch) -> None:
    """A charge that has not been made is given up without a mark that refuses it later."""

    def void(self: SandboxGateway, key: str) -> GatewayRecord:
        found = self.find(key)
        return found or GatewayRecord(key, ChargeStatus.VOIDED, "none")

    patch.setattr(SandboxGateway, "void", void)


def acknowledged_too_early(patch: pytest.MonkeyPatch) -> None:
    """A caller is answered before the turn is committed."""

    def answer(self: Engine, request: Any, future: Any, now: float) -> None:
        future.set_result(request(now))

    patch.setattr(Engine, "_answer", answer)


def delivery_removed_too_early(patch: pytest.MonkeyPatch) -> None:
    """A delivery is gone before the message that it becomes stands."""
    send = QueueTarget.deliver

    def deliver(self: QueueTarget, target: Any, delivery: Any, now: float) -> None:
        database = self._queues.journal.database
        with database.write() as connection:
            connection.execute("delete from deliveries where id = ?", (delivery.id,))
        send(self, target, delivery, now)

    patch.setattr(QueueTarget, "deliver", deliver)


def release_skipped(patch: pytest.MonkeyPatch) -> None:
    """A released reservation leaves its units reserved."""
    patch.setitem(inventory.store._MOVES, Move.RELEASE, "reserved = reserved + 0 * :units")  # noqa: SLF001 - the mutation is of this very step


def receipt_counted_twice(patch: pytest.MonkeyPatch) -> None:
    """A stock file adds its units whenever it comes."""
    receive = SQLiteInventory.receive
    numbers = count()

    def receive_anew(self: SQLiteInventory, receipt: Receipt, at: float) -> bool:
        return receive(self, Receipt(f"{receipt.digest}-{next(numbers)}", receipt.units), at)

    patch.setattr(SQLiteInventory, "receive", receive_anew)


def fence_forgotten(patch: pytest.MonkeyPatch) -> None:
    """A late sibling, or a run that was overtaken, may still write."""

    def require_holder(self: OrderRecord, epoch: int) -> OrderRecord:
        if self.ended:
            raise LeaseLost(f"order {self.order_id} is {self.status}, whoever asks at {epoch}")
        return self

    patch.setattr(OrderRecord, "require_holder", require_holder)


def event_dropped(patch: pytest.MonkeyPatch) -> None:
    """A refund's event is left out of the transaction that writes the refund."""
    add = storage.sqlite.database.add_message

    def add_message(connection: Any, message: Message, at: float) -> None:
        if message.body.get("DetailType") != "Payment Refunded":
            add(connection, message, at)

    patch.setattr(storage.sqlite.database, "add_message", add_message)


def cancellation_unseen(patch: pytest.MonkeyPatch) -> None:
    """The write of a shipment does not look whether the order was cancelled meanwhile."""
    record, require_active = shipping.usecases._record, OrderRecord.require_active  # noqa: SLF001 - mutated
    writing = threading.local()  # handlers that stand still have a thread each

    def record_unseeing(*arguments: Any) -> shipping.usecases.Outcome:
        writing.now = True
        try:
            return record(*arguments)
        finally:
            writing.now = False

    def require_active_unseeing(self: OrderRecord, epoch: int) -> OrderRecord:
        unseeing = getattr(writing, "now", False)
        return self.require_holder(epoch) if unseeing else require_active(self, epoch)

    patch.setattr(shipping.usecases, "_record", record_unseeing)
    patch.setattr(OrderRecord, "require_active", require_active_unseeing)


def late_shipment_unmarked(patch: pytest.MonkeyPatch) -> None:
    """A shipment unknown to the carrier is given up without a mark that refuses it later."""
    void = SandboxCarrier.void

    def void_known(self: SandboxCarrier, shipment_id: str) -> Shipment:
        known = "select 1 from carrier_shipments where shipment_id = ?"
        if self.database.row(known, shipment_id):
            return void(self, shipment_id)
        return Shipment(shipment_id, ShipmentStatus.VOIDED, "none")

    patch.setattr(SandboxCarrier, "void", void_known)


def reconciler_off(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks for orders that nothing comes back to."""
    patch.setattr(orders.usecases, "reconcile", lambda ports: 0)


def early_request_overlooked(patch: pytest.MonkeyPatch) -> None:
    """An order is written although requests are kept that came before it."""
    patch.setattr(
        storage.sqlite.database, "_INSERT_FIRST", vars(storage.sqlite.database)["_INSERT"]
    )


MUTATIONS: Mapping[str, tuple[int, Mutate]] = {
    "idempotency key dropped": (10, idempotency_key_dropped),
    "charged blindly": (250, charged_blindly),
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
}
"""Each mutation with the number of seeds, counted from 1, within which it is caught."""
