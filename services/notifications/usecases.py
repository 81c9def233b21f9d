"""Confirm an order to its customer, once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from notifications.model import Confirmation, Mail, OrderedLine, render
from shared.events import named
from shared.record import UNDOING, Entry, OrderRecord, Records


class Mailer(Protocol):
    """Who delivers mail."""

    def send(self, name: str, mail: Mail) -> None:
        """Hand a mail over, or raise `MailError`; one of a name given before replaces it."""


class MailStore(Records, Protocol):
    """Records together with the marks of what was sent."""

    def sent(self, message_id: str, order_id: str) -> bool:
        """Return whether this mail was handed over before."""

    def mark(self, message_id: str, order_id: str, entry: Entry) -> None:
        """Mark a mail as sent and add to its order's timeline, in one transaction, once."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What the use case needs."""

    store: MailStore
    mailer: Mailer
    sender: str
    now: Callable[[], float]


def confirm(order_id: str, ports: Ports) -> bool:
    """Send an order's confirmation unless it was sent before; return whether it went out now.

    Without an e-mail address, or when the order is being undone, there is nothing to confirm.

    Raises
    ------
    OrderNotFound
        No order has this id.
    MailError
        It was not handed over; try again.
    """
    record = ports.store.read(order_id)
    message_id = confirmation_id(order_id)
    if record.email is None or record.status in UNDOING or ports.store.sent(message_id, order_id):
        return False
    now = ports.now()
    mail = render(_confirmation(record, message_id), ports.sender, record.email, now)
    ports.mailer.send(order_id, mail)
    entry = Entry("CONFIRMATION_SENT", now, {"message_id": message_id})
    ports.store.mark(message_id, order_id, entry)
    return True


def confirmation_id(order_id: str) -> str:
    """Return the id of an order's only confirmation: the same whenever it is asked for."""
    return named(f"{order_id}|confirmation")


def _confirmation(record: OrderRecord, message_id: str) -> Confirmation:
    return Confirmation(
        message_id,
        record.order_id,
        record.currency,
        record.total,
        [OrderedLine(line.sku, line.quantity, line.unit_price) for line in record.items],
        _lines(record.shipping_address or {}),
    )


def _lines(address: Mapping[str, Any]) -> list[str]:
    """Return an address as lines, each free of line breaks of its own."""
    city = f"{address.get('postal_code') or ''} {address.get('city') or ''}"
    lines = (
        address.get("name"),
        address.get("street"),
        city,
        address.get("region"),
        address.get("country"),
    )
    return [" ".join(line.split()) for line in lines if line and line.strip()]
