"""Do what `Order Updated` and `Order Cancelled` events ask for."""

from typing import Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from orders import usecases, wiring
from shared.errors import InvalidEvent
from shared.observability import count, instrumented
from shared.quarantine import envelope_of, quarantined

# one request may be the whole batch: its message is retried, not the function
_processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Take a batch of bus events from the queue; answer with those to be sent again."""
    return process_partial_response(
        event=event, record_handler=_take, processor=_processor, context=context
    )


def _take(record: SQSRecord) -> None:
    ports = wiring.ports()
    try:
        usecases.take_change(envelope_of(record.body), ports)
    except InvalidEvent as error:
        queue = ports.quarantine_queue
        letter = quarantined(record.body, error, consumer="change_order", queue=queue)
        ports.store.send(letter, ports.now())
        count("EventsQuarantined")
