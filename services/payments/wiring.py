"""The payments' composition root; each function builds its ports once."""

from typing import TYPE_CHECKING, Literal

from kernel import clock
from lambda_support.settings import PerFunction
from lambda_support.thresholds import ThresholdSettings
from payments.usecases import Gateway, Ledger, Ports
from storage.stores import open_store

if TYPE_CHECKING:
    from storage.dynamodb.table import Table
    from storage.sqlite.database import Database


class PaymentsSettings(ThresholdSettings):
    """The payments' settings."""

    gateway_url: str
    """The sandbox gateway's own record: ``sqlite:///PATH`` or ``dynamodb://TABLE``."""

    high_value_approval: Literal["off", "on"] = "off"
    """Whether an order of high value waits for a decision before it is charged."""


@PerFunction
def ports() -> Ports:
    """Return the ports of the use cases, by the settings."""
    settings = PaymentsSettings.from_environment()
    gateway = open_store(settings.gateway_url, _sqlite_gateway, _dynamodb_gateway)
    store = open_store(settings.store_url, _sqlite, _dynamodb)
    approved = settings.thresholds() if settings.high_value_approval == "on" else None
    return Ports(store, gateway, clock.now, approved)


def _sqlite(database: "Database") -> Ledger:
    from payments.store import SQLiteLedger

    return SQLiteLedger(database)


def _dynamodb(table: "Table") -> Ledger:
    from payments.dynamodb import DynamoLedger

    return DynamoLedger(table)


def _sqlite_gateway(database: "Database") -> Gateway:
    from payments.gateway import SandboxGateway

    return SandboxGateway(database, clock.now)


def _dynamodb_gateway(table: "Table") -> Gateway:
    from payments.dynamodb import DynamoGateway

    return DynamoGateway(table, clock.now)
