"""Set an order WAITING for stock, for the gateway or for the platform itself."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambda_support import init_phase
from lambda_support.observability import count, instrumented
from orders import usecases, wiring

init_phase.prepare(wiring.ports, "dynamodb")


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``order_id``, ``epoch`` and ``because``; return ``outcome`` and ``wait_seconds``."""
    order = usecases.pause(event["order_id"], event["epoch"], event["because"], wiring.ports())
    if order.delayed:
        count("OrdersDelayed")
    return order._asdict()
