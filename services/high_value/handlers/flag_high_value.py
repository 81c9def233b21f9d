"""Flag orders of high value for a review."""

import logging
from typing import Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from high_value import usecases, wiring
from shared.observability import count, instrumented, logger

_COUNTERS = {"FLAGGED": "HighValueOrders", "QUARANTINED": "EventsQuarantined"}


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take SQS messages with an event each; answer those to be tried again."""
    log = logging.getLogger(logger().name)
    processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False, logger=log)
    return dict(process_partial_response(event, _flag, processor, context))


def _flag(record: SQSRecord) -> None:
    outcome = usecases.flag(record.body, wiring.ports())
    if outcome in _COUNTERS:
        count(_COUNTERS[outcome])
