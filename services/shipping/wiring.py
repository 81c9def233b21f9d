"""The shipping's composition root; what it makes, it makes once a process."""

from functools import cache

from shared import clock
from shared.settings import StoreSettings
from shared.sqlite import database
from shipping.carrier import SandboxCarrier
from shipping.store import SQLiteShipments
from shipping.usecases import Ports


class ShippingSettings(StoreSettings):
    """The shipping's settings."""

    carrier_url: str
    """Whom to ask: ``sqlite:///PATH`` is the sandbox carrier, with its own record there."""


@cache
def ports() -> Ports:
    """Return the ports that the settings ask for."""
    settings = ShippingSettings.from_environment()
    carrier = SandboxCarrier(database(settings.carrier_url))
    return Ports(SQLiteShipments(database(settings.store_url)), carrier, clock.now)
