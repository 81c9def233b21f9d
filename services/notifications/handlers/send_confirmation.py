"""Send the confirmations of orders to their customers."""

from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambda_support.observability import count, instrumented
from lambda_support.queue_messages import process_batch
from notifications import usecases, wiring

_COUNTERS = {"SENT": "ConfirmationsSent", "QUARANTINED": "ConfirmationsPutAside"}


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take a batch of queue messages with an ``order_id`` each; return the messages to retry."""
    return process_batch(event, _confirm, context)


def _confirm(record: SQSRecord) -> None:
    outcome = usecases.take_message(record.body, wiring.ports())
    if outcome in _COUNTERS:
        count(_COUNTERS[outcome])
