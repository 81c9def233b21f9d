"""The shipping's composition root; each function builds its ports once."""

from typing import TYPE_CHECKING

from kernel import clock
from lambda_support.settings import PerFunction, StoreSettings
from shipping.usecases import Carrier, Ports, ShipmentStore
from storage.stores import open_store

if TYPE_CHECKING:
    from storage.dynamodb.table import Table
    from storage.sqlite.database import Database


class ShippingSettings(StoreSettings):
    """The shipping's settings."""

    carrier_url: str
    """The sandbox carrier's own record: ``sqlite:///PATH`` or ``dynamodb://TABLE``."""


@PerFunction
def ports() -> Ports:
    """Return the ports of the use cases, by the settings."""
    settings = ShippingSettings.from_environment()
    carrier = open_store(settings.carrier_url, _sqlite_carrier, _dynamodb_carrier)
    return Ports(open_store(settings.store_url, _sqlite, _dynamodb), carrier, clock.now)


def _sqlite(database: "Database") -> ShipmentStore:
    from shipping.store import SQLiteShipments

    return SQLiteShipments(database)


def _dynamodb(table: "Table") -> ShipmentStore:
    from shipping.dynamodb import DynamoShipments

    return DynamoShipments(table)


def _sqlite_carrier(database: "Database") -> Carrier:
    from shipping.carrier import SandboxCarrier

    return SandboxCarrier(database)


def _dynamodb_carrier(table: "Table") -> Carrier:
    from shipping.dynamodb import DynamoCarrier

    return DynamoCarrier(table)
