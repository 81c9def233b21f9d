"""Start again the runs that ended before they claimed an order."""

from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambda_support import init_phase
from lambda_support.observability import count, instrumented
from lambda_support.queue_messages import process_batch
from orders import restarts, wiring
from orders.model import DELAYED

init_phase.prepare(wiring.ports, "dynamodb")


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Take a batch of events from the retry queue; answer with those to be sent again."""
    return process_batch(event, _restart, context)


def _restart(record: SQSRecord) -> None:
    failing = restarts.take_message(record.body, record.message_id, wiring.ports())
    if failing > restarts.MAX_RESTARTS:
        count("EventsQuarantined")
    elif failing > DELAYED:
        count("OrdersNotBegun")
