"""High value's composition root; what it makes, it makes once a function."""

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from pydantic import Field

from high_value.usecases import Ports, ReviewStore
from kernel import clock
from kernel.errors import InvalidSettings
from kernel.money import CURRENCIES, text, to_minor
from lambda_support.settings import PerFunction, StoreSettings
from storage.stores import open_store

if TYPE_CHECKING:
    from storage.dynamodb.table import Table
    from storage.sqlite.database import Database


class HighValueSettings(StoreSettings):
    """High value's settings."""

    high_value_threshold: Decimal = Field(Decimal(1000), gt=0, decimal_places=2)
    """Total from which an order is reviewed, in its currency, such as ``1000`` or ``999.50``."""

    high_value_thresholds: str = ""
    """Totals for single currencies, such as ``JPY=150000 KRW=1500000``; none below the other."""

    quarantine_queue_url: str
    """Queue of events that keep no contract."""


@PerFunction
def ports() -> Ports:
    """Return the ports that the settings ask for."""
    settings = HighValueSettings.from_environment()
    threshold = to_minor(settings.high_value_threshold)
    return Ports(
        open_store(settings.store_url, _sqlite, _dynamodb),
        threshold,
        settings.quarantine_queue_url,
        clock.now,
        dict(_of_currencies(settings.high_value_thresholds, threshold)),
    )


def _of_currencies(given: str, threshold: int) -> Iterator[tuple[str, int]]:
    """Yield the currencies that have a threshold of their own, each with it.

    The rule on the bus knows the general threshold alone: what is below it never comes here.
    """
    for one in given.split():
        currency, _, amount = one.partition("=")
        try:
            own = to_minor(Decimal(amount))
        except (ArithmeticError, ValueError):
            own = 0
        if currency not in CURRENCIES or own < threshold:
            raise InvalidSettings(
                f"environment variable HIGH_VALUE_THRESHOLDS: {one!r} is not a currency and an"
                f" amount of at least {text(threshold)}; set some such as JPY=150000 KRW=1500000"
            )
        yield currency, own


def _sqlite(database: "Database") -> ReviewStore:
    from high_value.store import SQLiteReviews

    return SQLiteReviews(database)


def _dynamodb(table: "Table") -> ReviewStore:
    from high_value.dynamodb import DynamoReviews

    return DynamoReviews(table)
