"""High value's composition root; what it makes, it makes once a function."""

from decimal import Decimal
from typing import TYPE_CHECKING

from pydantic import Field

from high_value.usecases import Ports, ReviewStore
from shared import clock
from shared.money import to_minor
from shared.settings import PerFunction, StoreSettings
from shared.stores import opened

if TYPE_CHECKING:
    from shared.sqlite import Database
    from shared.table import Table


class HighValueSettings(StoreSettings):
    """High value's settings."""

    high_value_threshold: Decimal = Field(Decimal(1000), gt=0, decimal_places=2)
    """Total from which an order is reviewed, in its currency, such as ``1000`` or ``999.50``."""

    quarantine_queue_url: str
    """Queue of events that keep no contract."""


@PerFunction
def ports() -> Ports:
    """Return the ports that the settings ask for."""
    settings = HighValueSettings.from_environment()
    return Ports(
        opened(settings.store_url, _sqlite, _dynamodb),
        to_minor(settings.high_value_threshold),
        settings.quarantine_queue_url,
        clock.now,
    )


def _sqlite(database: "Database") -> ReviewStore:
    from high_value.store import SQLiteReviews

    return SQLiteReviews(database)


def _dynamodb(table: "Table") -> ReviewStore:
    from high_value.dynamodb import DynamoReviews

    return DynamoReviews(table)
