"""High value's composition root; what it makes, it makes once a process."""

from decimal import Decimal
from functools import cache

from pydantic import Field

from high_value.store import SQLiteReviews
from high_value.usecases import Ports
from shared import clock
from shared.money import to_minor
from shared.settings import StoreSettings
from shared.sqlite import database


class HighValueSettings(StoreSettings):
    """High value's settings."""

    high_value_threshold: Decimal = Field(Decimal(1000), gt=0, decimal_places=2)
    """Total from which an order is reviewed, in its currency, such as ``1000`` or ``999.50``."""

    quarantine_queue_url: str
    """Queue of events that keep no contract."""


@cache
def ports() -> Ports:
    """Return the ports that the settings ask for."""
    settings = HighValueSettings.from_environment()
    return Ports(
        SQLiteReviews(database(settings.store_url)),
        to_minor(settings.high_value_threshold),
        settings.quarantine_queue_url,
        clock.now,
    )
