"""The sandbox carrier: deterministic tracking numbers, and a record of its own.

It refuses every shipment to the street ``SANDBOX FAIL``, and the first two calls for a shipment to
``SANDBOX FAIL 2``.
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
        """Create a shipment once; a repeated call for the same id updates its address."""
        row = None
        with self.database.write() as connection:
            if not self._refuses(connection, consignment):
                address = json.dumps(consignment.address)
                row = connection.execute(
                    "insert into carrier_shipments values (?, ?, 'CREATED', ?)"
                    " on conflict do update set address = excluded.address returning status",
                    (consignment.shipment_id, consignment.order_id, address),
                ).fetchone()
        if row is None:
            raise CarrierError(f"the carrier did not take order {consignment.order_id}")
        return tracked(consignment.shipment_id, ShipmentStatus(row["status"]))

    def void(self, shipment_id: str) -> Shipment:
        """Void a shipment, or write a VOIDED mark that refuses a later one."""
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
    """Return how many calls for a consignment fail before the first success."""
    match = _FAIL.fullmatch((consignment.address or {}).get("street", ""))
    return 0 if match is None else float(match[1] or "inf")


def tracked(shipment_id: str, status: ShipmentStatus) -> Shipment:
    """Return a shipment with its tracking number, which follows from its id."""
    number = int(sha256(shipment_id.encode()).hexdigest(), 16) % 10**12
    return Shipment(shipment_id, status, f"SBX{number:012d}")
