"""The inventory's composition root; what it makes, it makes once a process."""

from functools import cache

from inventory.store import SQLiteInventory
from inventory.usecases import Ports
from shared import clock
from shared.settings import StoreSettings
from shared.sqlite import database


class InventorySettings(StoreSettings):
    """The inventory's settings."""


@cache
def ports() -> Ports:
    """Return the ports that the settings ask for."""
    settings = InventorySettings.from_environment()
    return Ports(SQLiteInventory(database(settings.store_url)), clock.now)
