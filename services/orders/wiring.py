"""The orders' composition root; what it makes, it makes once a process."""

from functools import cache

from orders.store import SQLiteOrders
from orders.usecases import Policy, Ports
from shared import clock
from shared.settings import StoreSettings
from shared.sqlite import database


class OrdersSettings(StoreSettings):
    """The orders' settings."""

    lease_seconds: float = 300.0
    """Longer than an execution of order_processing and the longest function together."""

    recovery_delay_seconds: int = 300
    """How long an order waits before it is tried again."""

    max_attempts: int = 12
    """How often an order waits before it is undone."""

    quarantine_queue_url: str = ""
    """Where an event goes that no retry can mend."""


@cache
def ports() -> Ports:
    """Return the ports that the settings ask for."""
    settings = OrdersSettings.from_environment()
    policy = Policy(settings.lease_seconds, settings.recovery_delay_seconds, settings.max_attempts)
    store = SQLiteOrders(database(settings.store_url))
    return Ports(store, clock.now, policy, settings.quarantine_queue_url)
