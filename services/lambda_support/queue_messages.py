"""Batches of queue messages: each message is taken by itself, and a failure has its reason."""

import logging
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from kernel.errors import OrderflowError
from lambda_support import observability
from lambda_support.batches import FAILED_MESSAGES

MAX_REASON = 1_000
"""Characters kept of a reason: a log event has at most 256 KB."""


class _Batch(BatchProcessor):
    """A batch that notes why its messages failed."""

    def __init__(self, log: logging.Logger) -> None:
        super().__init__(EventType.SQS, raise_on_entire_batch_failure=False, logger=log)
        self.reasons: dict[str, str] = {}

    def failure_handler(self, record: Any, exception: Any) -> Any:
        """Note the reason; only an error that no rule raised is logged with its traceback."""
        kind, error, _ = exception
        reason = f"{kind.__name__}: {error}"[:MAX_REASON]
        self.reasons[record.message_id] = reason
        if isinstance(error, OrderflowError):
            log = observability.logger()
            log.info("the message is tried again", message_id=record.message_id, reason=reason)
            traced, self.logger = self.logger, None
            try:
                return super().failure_handler(record, exception)
            finally:
                self.logger = traced
        return super().failure_handler(record, exception)


def answered(
    event: dict[str, Any], take: Callable[[SQSRecord], None], context: LambdaContext
) -> dict[str, Any]:
    """Hand each message of a batch to ``take``; return the answer with those to be sent again.

    Lambda's answer has no field for reasons, so they go into the invocation's EMF document: it may
    have any other members, and CloudWatch Logs keeps it whole (CloudWatch, Embedded metric format
    specification).
    """
    batch = _Batch(logging.getLogger(observability.logger().name))
    answer = process_partial_response(event, take, batch, context)
    if batch.reasons:
        observability.count("MessagesFailed", len(batch.reasons))
        observability.metrics().add_metadata(FAILED_MESSAGES, batch.reasons)
    return dict(answer)
