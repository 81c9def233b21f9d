"""Batches of queue messages: a failed message is retried alone, and its reason is recorded."""

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

from kernel import current_order, json_text
from kernel.errors import OrderflowError
from lambda_support import observability
from lambda_support.batches import FAILED_MESSAGES

MAX_REASON = 1_000
"""Maximum characters of a reason: a log event has at most 256 KB."""


class _Batch(BatchProcessor):
    """A batch that records the reasons of failed messages."""

    def __init__(self, log: logging.Logger) -> None:
        super().__init__(EventType.SQS, raise_on_entire_batch_failure=False, logger=log)
        self.reasons: dict[str, str] = {}

    def failure_handler(self, record: Any, exception: Any) -> Any:
        """Record the reason; log a traceback unless the error is an `OrderflowError`."""
        current_order.enter(_document(record.body))
        try:
            return self._log_failure(record, exception)
        finally:
            current_order.enter(None)

    def _log_failure(self, record: Any, exception: Any) -> Any:
        kind, error, _ = exception
        reason = f"{kind.__name__}: {error}"[:MAX_REASON]
        self.reasons[record.message_id] = reason
        if isinstance(error, OrderflowError):
            log = observability.logger()
            log.info("the message is retried", message_id=record.message_id, reason=reason)
            batch_logger, self.logger = self.logger, None
            try:
                return super().failure_handler(record, exception)
            finally:
                self.logger = batch_logger
        return super().failure_handler(record, exception)


def _document(body: str) -> Any:
    """Return the event in a message, for its ids; None if it is not JSON."""
    try:
        return json_text.read(body.encode(errors="replace"))
    except json_text.InvalidJSON:
        return None


def process_batch(
    event: dict[str, Any], process: Callable[[SQSRecord], None], context: LambdaContext
) -> dict[str, Any]:
    """Process each message of a batch; return the response that lists the messages to retry.

    The response has no field for reasons, so they are in the invocation's EMF document: it may have
    any other members, and CloudWatch Logs stores all of it (CloudWatch, Embedded metric format
    specification).
    """
    batch = _Batch(logging.getLogger(observability.logger().name))
    response = process_partial_response(event, process, batch, context)
    if batch.reasons:
        observability.count("MessagesFailed", len(batch.reasons))
        observability.metrics().add_metadata(FAILED_MESSAGES, batch.reasons)
    return dict(response)
