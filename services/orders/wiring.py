"""The orders' composition root; each function builds its ports once."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kernel import clock
from kernel.errors import InvalidSettings
from lambda_support import aws
from lambda_support.settings import PerFunction, StoreSettings
from orders import lost_events, outbox
from orders.event_history import EventHistory
from orders.idempotency_key import Keys
from orders.usecases import EventJournal, OrderStore, Policy, Ports
from storage.stores import is_dynamodb, open_store

if TYPE_CHECKING:
    from storage.dynamodb.table import Table
    from storage.sqlite.database import Database


class OrdersSettings(StoreSettings):
    """The orders' settings."""

    lease_seconds: float = 300.0
    """Longer than an execution of order_processing plus the longest function."""

    recovery_delay_seconds: int = 300
    """How long an order waits before it is resumed."""

    max_attempts: int = 12
    """How often an order waits before it is compensated."""

    approval_seconds: int = 86_400
    """How long an order waits for a decision, with its units reserved."""

    quarantine_queue_url: str = ""
    """The queue of events that fail at every retry."""

    event_bus_name: str = ""
    """The bus on which the relay puts events."""

    order_processing_arn: str = ""
    """The state machine whose executions the relay starts."""

    warehouse_url: str = ""
    """The analysts' rows, the sink of events: ``athena://DATABASE/WORKGROUP``."""

    archive_arn: str = ""
    """The archive of the bus's events."""

    event_bus_arn: str = ""
    """The bus that the archive is replayed to."""

    order_created_rule_arn: str = ""
    """The rule that starts executions of order_processing."""

    customer_claim: str = "customer_id"
    """The claim of an access token that has the customer's id."""

    analytics_rule_arn: str = ""
    """The rule that sends every event to the analysts' rows."""


@PerFunction
def ports() -> Ports:
    """Return the ports of the use cases, by the settings."""
    settings = OrdersSettings.from_environment()
    policy = Policy(
        settings.lease_seconds,
        settings.recovery_delay_seconds,
        settings.max_attempts,
        settings.approval_seconds,
    )
    store = open_store(settings.store_url, _sqlite, _dynamodb)
    keys = open_store(settings.store_url, _sqlite_keys, _dynamodb_keys)
    journal = open_store(settings.store_url, _sqlite_journal, _no_journal)
    history = open_store(settings.store_url, _journal_history, _timeline_history)
    queue = settings.quarantine_queue_url
    return Ports(store, clock.now, policy, queue, keys, journal, history)


@PerFunction
def customer_claim() -> str:
    """Return the claim of an access token that has the customer's id."""
    return OrdersSettings.from_environment().customer_claim


def is_relayed() -> bool:
    """Return whether the relay empties the outbox, as on AWS; on one machine the engine does."""
    return is_dynamodb(OrdersSettings.from_environment().store_url)


@PerFunction
def relay_ports() -> outbox.Ports:
    """Return the ports of the relay, on AWS."""
    from orders.aws_publisher import AWSPublisher
    from orders.dynamodb import DynamoOutbox
    from storage.dynamodb.table import table

    settings = OrdersSettings.from_environment()
    _require(settings, "event_bus_name", "order_processing_arn")
    publisher = AWSPublisher(settings.event_bus_name, settings.order_processing_arn)
    return outbox.Ports(DynamoOutbox(table(settings.store_url)), publisher, clock.now)


@PerFunction
def search_ports() -> lost_events.Ports:
    """Return the ports of the search for lost events, on AWS."""
    from lambda_support.athena import AthenaWarehouse
    from orders.athena_sink import AthenaSink, EventArchive, RuleMetrics
    from orders.dynamodb import DynamoOrders
    from storage.dynamodb.table import table

    settings = OrdersSettings.from_environment()
    _require(settings, "warehouse_url", "archive_arn", "event_bus_arn", "order_created_rule_arn")
    _require(settings, "analytics_rule_arn")
    rows = urlsplit(settings.warehouse_url)
    warehouse = AthenaWarehouse(aws.client("athena"), rows.netloc, rows.path.strip("/"), 30)
    archive = EventArchive(
        settings.archive_arn, settings.event_bus_arn, settings.order_created_rule_arn
    )
    orders = DynamoOrders(table(settings.store_url))
    bus = RuleMetrics(settings.analytics_rule_arn)
    return lost_events.Ports(AthenaSink(warehouse), archive, orders, clock.now, bus)


def _require(settings: OrdersSettings, *names: str) -> None:
    for name in names:
        if not getattr(settings, name):
            raise InvalidSettings(f"environment variable {name.upper()}: is missing; set it")


def _sqlite(database: "Database") -> OrderStore:
    from orders.store import SQLiteOrders

    return SQLiteOrders(database)


def _dynamodb(table: "Table") -> OrderStore:
    from orders.dynamodb import DynamoOrders

    return DynamoOrders(table)


def _sqlite_keys(database: "Database") -> Keys:
    from orders.store import SQLiteKeys

    return SQLiteKeys(database)


def _dynamodb_keys(table: "Table") -> Keys:
    from orders.dynamodb import DynamoKeys

    return DynamoKeys(table)


def _sqlite_journal(database: "Database") -> EventJournal | None:
    from orders.store import SQLiteEventJournal

    return SQLiteEventJournal(database)


def _journal_history(database: "Database") -> EventHistory:
    from orders.journal_history import JournalHistory

    return JournalHistory(database)


def _timeline_history(table: "Table") -> EventHistory:
    from orders.timeline_history import TimelineHistory

    return TimelineHistory(table)


def _no_journal(_table: "Table") -> EventJournal | None:
    return None
