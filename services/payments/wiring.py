"""The payments' composition root; what it makes, it makes once a process."""

from functools import cache

from payments.gateway import SandboxGateway
from payments.store import SQLiteLedger
from payments.usecases import Ports
from shared import clock
from shared.settings import StoreSettings
from shared.sqlite import database


class PaymentsSettings(StoreSettings):
    """The payments' settings."""

    gateway_url: str
    """Whom to ask: ``sqlite:///PATH`` is the sandbox gateway, with its own record there."""


@cache
def ports() -> Ports:
    """Return the ports that the settings ask for."""
    settings = PaymentsSettings.from_environment()
    gateway = SandboxGateway(database(settings.gateway_url), clock.now)
    return Ports(SQLiteLedger(database(settings.store_url)), gateway, clock.now)
