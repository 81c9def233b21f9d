"""The sandbox carrier: deterministic tracking numbers, and a record of its own.

A street of ``SANDBOX FAIL`` is never taken, one of ``SANDBOX FAIL 2`` not at the first two calls.
"""

import json
import re
from hashlib import sha256
from typing import TYPE_CHECKING

from kernel.errors import CarrierError
from kernel.order_status import ShipmentStatus
from shipping.model import Consignment, Shipment

if TYPE_CHECKING:
    import sqlite3

    from storage.sqlite.database import Database


_FAIL = re.compile(r"SANDBOX FAIL(?: (\d+))?")


class SandboxCarrier:
    """A carrier (see `shipping.usecases.Carrier`) in a database of its own."""

    def __init__(self, database: "Database") -> None:
        from storage.sqlite.schema import SANDBOX_CARRIER  # Lambda imports this module too

        self.database = database
        database.commits_first = True
        database.define(SANDBOX_CARRIER)

    def create(self, consignment: Consignment) -> Shipment:
        """Take a shipment once; one known already goes to the address given last."""
        taken = None
        with self.database.write() as connection:
            if not self._refuses(connection, consignment):
                address = json.dumps(consignment.address)
                taken = connection.execute(
                    "insert into carrier_shipments values (?, ?, 'CREATED', ?)"
                    " on conflict do update set address = excluded.address returning status",
                    (consignment.shipment_id, consignment.order_id, address),
                ).fetchone()
        if taken is None:
            raise CarrierError(f"the carrier did not take order {consignment.order_id}")
        return tracked(consignment.shipment_id, ShipmentStatus(taken["status"]))

    def void(self, shipment_id: str) -> Shipment:
        """Void a shipment, or leave a mark that refuses a later one."""
        with self.database.write() as connection:
            connection.execute(
                "insert into carrier_shipments (shipment_id, order_id, status)"
                " values (?, '', 'VOIDED') on conflict do update set status = 'VOIDED'",
                (shipment_id,),
            )
        return tracked(shipment_id, ShipmentStatus.VOIDED)

    def _refuses(self, connection: "sqlite3.Connection", consignment: Consignment) -> bool:
        times = failures(consignment)
        if not times:
            return False
        row = connection.execute(
            "insert into carrier_failures values (?, 1)"
            " on conflict do update set failures = failures + 1 returning failures",
            (consignment.shipment_id,),
        ).fetchone()
        return bool(row[0] <= times)


def failures(consignment: Consignment) -> float:
    """Return how many calls of the carrier fail before one takes this."""
    told = _FAIL.fullmatch((consignment.address or {}).get("street", ""))
    return 0 if told is None else float(told[1] or "inf")


def tracked(shipment_id: str, status: ShipmentStatus) -> Shipment:
    """Return a shipment with the tracking number that it always has."""
    number = int(sha256(shipment_id.encode()).hexdigest(), 16) % 10**12
    return Shipment(shipment_id, status, f"SBX{number:012d}")
