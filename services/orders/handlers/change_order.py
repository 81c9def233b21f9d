"""Apply the requests of `Order Updated` and `Order Cancelled` events."""

from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambda_support import init_phase
from lambda_support.observability import count, instrumented
from lambda_support.queue_messages import process_batch
from orders import change_requests, wiring

init_phase.prepare(wiring.ports, "dynamodb")


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Take a batch of queue messages with a bus event each; return the messages to retry."""
    return process_batch(event, _take, context)


def _take(record: SQSRecord) -> None:
    if not change_requests.take_message(record.body, wiring.ports()):
        count("EventsQuarantined")
