"""Set an order COMPENSATING under a new epoch."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambda_support import init_phase
from lambda_support.observability import instrumented
from orders import usecases, wiring

init_phase.prepare(wiring.ports, "dynamodb")


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``order_id``, ``epoch``, ``because`` and ``owner``; return the new epoch."""
    order = usecases.compensate(
        event["order_id"], event["epoch"], event["because"], event["owner"], wiring.ports()
    )
    return order._asdict()
