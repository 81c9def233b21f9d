"""The relay on AWS: send the outbox messages that the table's stream reports.

They are events, runs of order_processing, and messages to queues (see `orders.outbox`).
"""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambda_support import init_phase
from lambda_support.observability import count, instrumented, logger
from orders import outbox, wiring

init_phase.prepare(wiring.relay_ports, "dynamodb", "events", "sqs", "stepfunctions")


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take a batch of a DynamoDB stream; return the records to retry."""
    failed = outbox.relay(
        event["Records"],
        wiring.relay_ports(),
        lambda: context.get_remaining_time_in_millis() / 1000,
    )
    if failed:
        logger().warning("not sent yet", reasons=sorted(set(failed.values())))
        count("OutboxNotSent", len(failed))
    return {"batchItemFailures": [{"itemIdentifier": number} for number in failed]}
