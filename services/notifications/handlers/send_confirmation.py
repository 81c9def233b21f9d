"""Send the confirmations of orders to their customers, and ask the reviewer of an order."""

from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from kernel.errors import MailError
from lambda_support import init_phase
from lambda_support.observability import count, instrumented
from lambda_support.queue_messages import process_batch
from notifications import approvals, usecases, wiring

SECONDS_OF_A_MAIL = 20.0
"""Seconds that a mail can take, with three attempts of each call; usually it is a tenth of one."""

_COUNTERS = {"SENT": "ConfirmationsSent", "QUARANTINED": "ConfirmationsPutAside"}


init_phase.prepare(wiring.ports, "dynamodb", "sesv2")


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take a batch of queue messages with an ``order_id`` each; return the messages to retry.

    A message with a ``token`` asks the reviewer; another one requests a confirmation.
    """
    return process_batch(event, partial(_mail, context), context)


def _mail(context: LambdaContext, record: SQSRecord) -> None:
    """Send a mail, if the call has time for it.

    A call that ended between a mail and its mark would send the mail twice.
    """
    if context.get_remaining_time_in_millis() < SECONDS_OF_A_MAIL * 1000:
        raise MailError("the call has too little time left for another mail; it is sent later")
    if approvals.is_request(record.body):
        approvals.take_message(record.body, wiring.reviewer(), wiring.ports())
        return
    outcome = usecases.take_message(record.body, wiring.ports())
    if outcome in _COUNTERS:
        count(_COUNTERS[outcome])
