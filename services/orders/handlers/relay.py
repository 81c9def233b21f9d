"""The relay on AWS: send the outbox messages that the table's stream reports.

They are events, runs of order_processing, messages to queues, and answers to waiting tasks (see
`orders.outbox`).
"""

from collections import Counter
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambda_support import init_phase
from lambda_support.observability import count, count_by, instrumented, logger, observe
from orders import outbox, wiring
from orders.outcome_metrics import outcomes

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
    _measure(event["Records"], failed)
    return {"batchItemFailures": [{"itemIdentifier": number} for number in failed]}


def _measure(records: list[dict[str, Any]], failed: dict[str, str]) -> None:
    """Count the outcomes of the records that are not retried."""
    sent = [record for record in records if record["dynamodb"]["SequenceNumber"] not in failed]
    reasons: Counter[str] = Counter()
    for outcome in outcomes(sent):
        if outcome.seconds is not None:
            observe("TimeToComplete", outcome.seconds)
        if outcome.reason is not None:
            reasons[outcome.reason] += 1
    for reason, number in reasons.items():
        count_by("OrdersFailedByReason", "reason", reason, number)
