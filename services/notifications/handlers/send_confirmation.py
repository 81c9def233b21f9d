"""Confirm orders to their customers by mail."""

from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from kernel.errors import UnmailableAddress
from lambda_support.observability import count, instrumented
from lambda_support.queue_messages import process_batch
from notifications import usecases, wiring


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take SQS messages with an ``order_id`` each; answer those to be tried again."""
    return process_batch(event, _confirm, context)


def _confirm(record: SQSRecord) -> None:
    ports = wiring.ports()
    try:
        if usecases.confirm(record.json_body["order_id"], ports):
            count("ConfirmationsSent")
    except UnmailableAddress as error:
        usecases.put_aside(record.body, error, ports)
        count("ConfirmationsPutAside")
