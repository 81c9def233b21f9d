"""High value's composition root; each function builds its ports once."""

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
    """Lowest total of a reviewed order, in its currency, such as ``1000`` or ``999.50``."""

    high_value_thresholds: str = ""
    """Thresholds of single currencies, such as ``JPY=150000 KRW=1500000``.

    None may be below ``high_value_threshold``.
    """

    quarantine_queue_url: str
    """The queue of events that break their contract."""


@PerFunction
def ports() -> Ports:
    """Return the ports of the use case, by the settings."""
    settings = HighValueSettings.from_environment()
    threshold = to_minor(settings.high_value_threshold)
    return Ports(
        open_store(settings.store_url, _sqlite, _dynamodb),
        threshold,
        settings.quarantine_queue_url,
        clock.now,
        dict(_thresholds(settings.high_value_thresholds, threshold)),
    )


def _thresholds(setting: str, general: int) -> Iterator[tuple[str, int]]:
    """Yield each currency that has a threshold of its own, with that threshold.

    The rule on the bus compares with the general threshold only, so events below it are not
    delivered.

    Raises
    ------
    InvalidSettings
        An entry is malformed, or is below the general threshold.
    """
    for entry in setting.split():
        currency, _, amount = entry.partition("=")
        try:
            threshold = to_minor(Decimal(amount))
        except (ArithmeticError, ValueError):
            threshold = 0
        if currency not in CURRENCIES or threshold < general:
            raise InvalidSettings(
                f"environment variable HIGH_VALUE_THRESHOLDS: {entry!r} is not a currency and an"
                f" amount of at least {text(general)}; set some such as JPY=150000 KRW=1500000"
            )
        yield currency, threshold


def _sqlite(database: "Database") -> ReviewStore:
    from high_value.store import SQLiteReviews

    return SQLiteReviews(database)


def _dynamodb(table: "Table") -> ReviewStore:
    from high_value.dynamodb import DynamoReviews

    return DynamoReviews(table)
