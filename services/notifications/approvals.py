"""Ask the reviewer about an order of high value, and store the token of the wait."""

import json

from kernel import approval
from kernel.errors import UnmailableAddress
from kernel.idempotency import approval_mail_id
from kernel.order_record import Entry, OrderRecord, retry_on_conflict
from kernel.order_status import UNDOING, Approval
from kernel.quarantine import quarantined
from notifications.approval_mail import Reviewer, approval_mail
from notifications.usecases import CONSUMER, Ports

REQUEST = '"token"'
"""A key that only a request for a decision has: a confirmation has the order's id alone."""


def is_request(body: str) -> bool:
    """Return whether a queue message requests a decision, not a confirmation."""
    return REQUEST in body and "token" in json.loads(body)


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
    order_id, token = str(request["order_id"]), str(request["token"])
    record = attach(order_id, token, ports)
    if record is None:
        return "DECIDED"
    if not reviewer.address:
        return "NOT_ASKED"
    message_id = approval_mail_id(order_id)
    if ports.store.sent(message_id, order_id):
        return "ASKED_BEFORE"
    now = ports.now()
    try:
        mail = approval_mail(record, token, reviewer, ports.sender, now)
    except UnmailableAddress as error:
        letter = {"order_id": order_id}  # without the token, which is a secret
        message = quarantined(
            json.dumps(letter), error, consumer=CONSUMER, queue=ports.quarantine_queue
        )
        ports.store.send(message, now)
        return "QUARANTINED"
    ports.mailer.send(f"{order_id}#approval", mail)
    ports.store.mark(message_id, order_id, Entry("REVIEWER_ASKED", now))
    return "ASKED"


@retry_on_conflict
def attach(order_id: str, token: str, ports: Ports) -> OrderRecord | None:
    """Store the token of the task that waits; return the order, or None if no decision is awaited.

    The task of an order that was decided before ends at once.

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
    if record.approval_token == token:
        return record
    return ports.store.save(record.change(approval_token=token))
