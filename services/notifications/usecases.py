"""Confirm an order to its customer, once."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from kernel.errors import MailError, UnmailableAddress
from kernel.idempotency import confirmation_id
from kernel.order_record import Entry, Message, OrderRecord, Records
from kernel.order_status import UNDOING
from kernel.quarantine import quarantined
from notifications.model import Confirmation, Mail, OrderedLine, render

CONSUMER = "send_confirmation"
"""Name of this consumer in quarantined messages."""


class Mailer(Protocol):
    """A mail server."""

    def send(self, name: str, mail: Mail) -> None:
        """Send a mail, or raise `MailError`; a mail of the same name is replaced."""


class MailStore(Records, Protocol):
    """Records, and the marks of sent mails."""

    def send(self, message: Message, at: float) -> None:
        """Put a message into the outbox without a change of a record."""

    def sent(self, message_id: str, order_id: str) -> bool:
        """Return whether this mail was sent before."""

    def mark(self, message_id: str, order_id: str, entry: Entry) -> None:
        """Mark a mail as sent and add a timeline entry, in one transaction, once."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of the use cases."""

    store: MailStore
    mailer: Mailer
    sender: str
    now: Callable[[], float]
    quarantine_queue: str = ""


def take_message(body: str, ports: Ports) -> str:
    """Send the confirmation that a queue message requests; return the outcome.

    The outcome is ``SENT``, ``NOT_SENT``, or ``QUARANTINED`` for an order whose address takes no
    mail: its message is sent to the quarantine queue, since a retry would fail in the same way.

    Raises
    ------
    OrderNotFound, MailError
        As in `confirm`.
    """
    try:
        is_sent = confirm(json.loads(body)["order_id"], ports)
    except UnmailableAddress as error:
        message = quarantined(body, error, consumer=CONSUMER, queue=ports.quarantine_queue)
        ports.store.send(message, ports.now())
        return "QUARANTINED"
    return "SENT" if is_sent else "NOT_SENT"


def confirm(order_id: str, ports: Ports) -> bool:
    """Send an order's confirmation unless it was sent before; return whether this call sent it.

    An order without an e-mail address, or in compensation, gets no confirmation.

    Raises
    ------
    OrderNotFound
        No order has this id.
    UnmailableAddress
        No mail can be sent to its address; also noted in the order's timeline.
    MailError
        The mail server did not accept the mail; retry. Also noted in the order's timeline.
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
    """Return an address as lines; white space inside a line is collapsed to single blanks."""
    city = f"{address.get('postal_code') or ''} {address.get('city') or ''}"
    lines = (
        address.get("name"),
        address.get("street"),
        city,
        address.get("region"),
        address.get("country"),
    )
    return [" ".join(line.split()) for line in lines if line and line.strip()]
