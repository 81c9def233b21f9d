"""The inventory's composition root; each function builds its ports once."""

from typing import TYPE_CHECKING

from inventory.usecases import InventoryStore, Ports
from kernel import clock
from lambda_support.settings import PerFunction, StoreSettings
from storage.stores import open_store

if TYPE_CHECKING:
    from storage.dynamodb.table import Table
    from storage.sqlite.database import Database


class InventorySettings(StoreSettings):
    """The inventory's settings."""


@PerFunction
def ports() -> Ports:
    """Return the ports of the use cases, by the settings."""
    settings = InventorySettings.from_environment()
    return Ports(open_store(settings.store_url, _sqlite, _dynamodb), clock.now)


def _sqlite(database: "Database") -> InventoryStore:
    from inventory.store import SQLiteInventory

    return SQLiteInventory(database)


def _dynamodb(table: "Table") -> InventoryStore:
    from inventory.dynamodb import DynamoInventory

    return DynamoInventory(table)
