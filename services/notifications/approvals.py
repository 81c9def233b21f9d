"""Ask the reviewer about an order of high value, and store the token of the wait."""

import json

from kernel import approval
from kernel.errors import UnmailableAddress
from kernel.idempotency import approval_mail_id, approval_mail_name
from kernel.order_record import Entry, OrderRecord, retry_on_conflict
from kernel.order_status import UNDOING, Approval
from kernel.quarantine import quarantined
from notifications.approval_mail import Reviewer, approval_mail
from notifications.usecases import CONSUMER, Ports

_KEY = "token"
"""The key of the token, which only a request for a decision has; a confirmation has the order's id.

It is null in a quarantined request: the token is a secret, and the order's record has it.
"""


def is_request(body: str) -> bool:
    """Return whether a queue message requests a decision, not a confirmation."""
    return _KEY in body and _KEY in json.loads(body)


def take_message(body: str, reviewer: Reviewer, ports: Ports) -> str:
    """Ask the reviewer about the order of a queue message; return the outcome.

    The outcome is ``ASKED``, ``ASKED_BEFORE``, ``NOT_ASKED`` without a reviewer's address,
    ``DECIDED`` for an order that awaits no decision any more, or ``QUARANTINED`` if the reviewer's
    address takes no mail.

    Raises
    ------
    OrderNotFound
        No order has this id.
    MailError
        The mail server did not accept the mail; retry.
    """
    request = json.loads(body)
    order_id = str(request["order_id"])
    record = attach(order_id, request[_KEY], ports)
    if record is None or record.approval_token is None:
        return "DECIDED"
    if not reviewer.address:
        return "NOT_ASKED"
    message_id = approval_mail_id(order_id)
    if ports.store.sent(message_id, order_id):
        return "ASKED_BEFORE"
    now = ports.now()
    try:
        mail = approval_mail(record, record.approval_token, reviewer, ports.sender, now)
    except UnmailableAddress as error:
        letter = {"order_id": order_id, _KEY: None}
        message = quarantined(
            json.dumps(letter), error, consumer=CONSUMER, queue=ports.quarantine_queue
        )
        ports.store.send(message, now)
        return "QUARANTINED"
    ports.mailer.send(approval_mail_name(order_id), mail)
    ports.store.mark(message_id, order_id, Entry("REVIEWER_ASKED", now))
    return "ASKED"


@retry_on_conflict
def attach(order_id: str, token: str | None, ports: Ports) -> OrderRecord | None:
    """Store the token of the task that waits; return the order, or None if no decision is awaited.

    The task of an order that was decided before ends at once. Without a token, the record's stays.

    Raises
    ------
    OrderNotFound
        No order has this id.
    """
    record, now = ports.store.read(order_id), ports.now()
    if record.approval is not Approval.PENDING or record.ended or record.status in UNDOING:
        outcome = str(record.approval or record.status)
        for message in approval.ended_wait(token, outcome, None):
            ports.store.send(message, now)
        return None
    if token is None or record.approval_token == token:
        return record
    return ports.store.save(record.change(approval_token=token))
