"""Shipments and a carrier in memory (see `shipping.usecases`)."""

from collections import deque

from kernel.errors import CarrierError
from kernel.order_record import Change, OrderRecord
from kernel.order_status import ShipmentStatus
from shipping.model import Consignment, Shipment
from tests.fakes.records import Action, FakeRecords


class FakeShipments(FakeRecords):
    """Records and their shipments."""

    def __init__(self, *records: OrderRecord) -> None:
        super().__init__(*records)
        self.shipments: dict[str, Shipment] = {}

    def put(self, change: Change, shipment: Shipment) -> OrderRecord:
        after = self.save(change)
        self.shipments[shipment.shipment_id] = shipment
        return after


class FakeCarrier:
    """A carrier with a record of its own."""

    def __init__(self) -> None:
        self.parcels: dict[str, ShipmentStatus] = {}
        self.consignments: list[Consignment] = []
        self.calls: list[str] = []
        self._before: deque[Action] = deque()
        self._after: deque[Action] = deque()

    def before_create(self, action: Action) -> None:
        """Run a hook at the next call, before the shipment is created."""
        self._before.append(action)

    def after_create(self, action: Action) -> None:
        """Run a hook at the next call, after the shipment is created and before the answer."""
        self._after.append(action)

    def create(self, consignment: Consignment) -> Shipment:
        self.calls.append("create")
        if self._before:
            self._before.popleft()()
        self.consignments.append(consignment)
        self.parcels.setdefault(consignment.shipment_id, ShipmentStatus.CREATED)
        if self._after:
            self._after.popleft()()
        return self._shipment(consignment.shipment_id)

    def void(self, shipment_id: str) -> Shipment:
        self.calls.append("void")
        self.parcels[shipment_id] = ShipmentStatus.VOIDED
        return self._shipment(shipment_id)

    def _shipment(self, shipment_id: str) -> Shipment:
        return Shipment(shipment_id, self.parcels[shipment_id], f"TRACK-{shipment_id[:4]}")


def not_taken() -> None:
    """Raise `CarrierError`: a hook of `FakeCarrier`."""
    raise CarrierError("no van")
