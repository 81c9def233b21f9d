"""Flag orders of high value for a review."""

from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from high_value import usecases, wiring
from lambda_support import init_phase
from lambda_support.observability import count, instrumented
from lambda_support.queue_messages import process_batch

_COUNTERS = {"FLAGGED": "HighValueOrders", "QUARANTINED": "EventsQuarantined"}


init_phase.prepare(wiring.ports, "dynamodb")


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take a batch of queue messages with an event each; return the messages to retry."""
    return process_batch(event, _flag, context)


def _flag(record: SQSRecord) -> None:
    outcome = usecases.flag(record.body, wiring.ports())
    if outcome in _COUNTERS:
        count(_COUNTERS[outcome])
