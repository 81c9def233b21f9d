"""High value's composition root; each function builds its ports once."""

from typing import TYPE_CHECKING

from high_value.usecases import Ports, ReviewStore
from kernel import clock
from lambda_support.settings import PerFunction
from lambda_support.thresholds import ThresholdSettings
from storage.stores import open_store

if TYPE_CHECKING:
    from storage.dynamodb.table import Table
    from storage.sqlite.database import Database


class HighValueSettings(ThresholdSettings):
    """High value's settings."""

    quarantine_queue_url: str
    """The queue of events that break their contract."""


@PerFunction
def ports() -> Ports:
    """Return the ports of the use case, by the settings."""
    settings = HighValueSettings.from_environment()
    store = open_store(settings.store_url, _sqlite, _dynamodb)
    return Ports(store, settings.thresholds(), settings.quarantine_queue_url, clock.now)


def _sqlite(database: "Database") -> ReviewStore:
    from high_value.store import SQLiteReviews

    return SQLiteReviews(database)


def _dynamodb(table: "Table") -> ReviewStore:
    from high_value.dynamodb import DynamoReviews

    return DynamoReviews(table)
