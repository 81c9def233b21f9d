"""Confirm an order to its customer, once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from kernel.errors import MailError, UnmailableAddress
from kernel.idempotency import confirmation_id
from kernel.order_record import Entry, Message, OrderRecord, Records
from kernel.order_status import UNDOING
from kernel.quarantine import quarantined
from notifications.model import Confirmation, Mail, OrderedLine, render


class Mailer(Protocol):
    """Who delivers mail."""

    def send(self, name: str, mail: Mail) -> None:
        """Hand a mail over, or raise `MailError`; one of a name given before replaces it."""


CONSUMER = "send_confirmation"


class MailStore(Records, Protocol):
    """Records together with the marks of what was sent."""

    def send(self, message: Message, at: float) -> None:
        """Put a message that goes with no record into the outbox."""

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
    quarantine_queue: str = ""


def confirm(order_id: str, ports: Ports) -> bool:
    """Send an order's confirmation unless it was sent before; return whether it went out now.

    Without an e-mail address, or when the order is being undone, there is nothing to confirm.

    Raises
    ------
    OrderNotFound
        No order has this id.
    UnmailableAddress
        No mail can be sent to its address; the order's timeline says so too.
    MailError
        It was not handed over; try again. The order's timeline says so too.
    """
    record = ports.store.read(order_id)
    message_id = confirmation_id(order_id)
    if record.email is None or record.status in UNDOING or ports.store.sent(message_id, order_id):
        return False
    now = ports.now()
    try:
        mail = render(_confirmation(record, message_id), ports.sender, record.email, now)
        ports.mailer.send(order_id, mail)
    except (MailError, UnmailableAddress) as error:
        ports.store.note(order_id, Entry("CONFIRMATION_FAILED", now, {"reason": str(error)}))
        raise
    entry = Entry("CONFIRMATION_SENT", now, {"message_id": message_id})
    ports.store.mark(message_id, order_id, entry)
    return True


def put_aside(body: str, error: UnmailableAddress, ports: Ports) -> None:
    """Put a message into the quarantine queue with the reason: trying again changes nothing."""
    queue = ports.quarantine_queue
    ports.store.send(quarantined(body, error, consumer=CONSUMER, queue=queue), ports.now())


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
