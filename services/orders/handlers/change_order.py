"""Do what `Order Updated` and `Order Cancelled` events ask for."""

from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from kernel.errors import InvalidEvent
from kernel.quarantine import envelope_of, quarantined
from lambda_support.observability import count, instrumented
from lambda_support.queue_messages import process_batch
from orders import usecases, wiring


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Take a batch of bus events from the queue; answer with those to be sent again."""
    return process_batch(event, _take, context)


def _take(record: SQSRecord) -> None:
    ports = wiring.ports()
    try:
        usecases.take_change(envelope_of(record.body), ports)
    except InvalidEvent as error:
        queue = ports.quarantine_queue
        letter = quarantined(record.body, error, consumer="change_order", queue=queue)
        ports.store.send(letter, ports.now())
        count("EventsQuarantined")
