"""Shipments in SQLite, in the database of the orders."""

from kernel.order_record import Change, OrderRecord
from shipping.model import Shipment
from storage.sqlite.database import Database
from storage.sqlite.records import SQLiteRecords, write_change
from storage.sqlite.schema import SHIPMENTS

_PUT = """  -- a second shipment of an order would be null, which the column refuses
insert into shipments (shipment_id, order_id, status, tracking_number, updated_at)
    values (?, ?, ?, ?, ?)
    on conflict (order_id) do update set status = excluded.status,
        shipment_id = iif(shipment_id = excluded.shipment_id, shipment_id, null),
        updated_at = excluded.updated_at
"""


class SQLiteShipments(SQLiteRecords):
    """The shipments (see `shipping.usecases.ShipmentStore`)."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        database.define(SHIPMENTS)

    def put(self, change: Change, shipment: Shipment) -> OrderRecord:
        """Write a change and its shipment in one transaction."""
        with self.database.write() as connection:
            write_change(connection, change)
            connection.execute(
                _PUT,
                (
                    shipment.shipment_id,
                    change.before.order_id,
                    shipment.status,
                    shipment.tracking_number,
                    change.after.updated_at,
                ),
            )
        return change.after
