"""Let an order wait for stock or for the gateway."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambda_support.observability import count, instrumented
from orders import usecases, wiring


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``order_id``, ``epoch`` and ``because``; answer whether it waits, and how long."""
    held = usecases.pause(event["order_id"], event["epoch"], event["because"], wiring.ports())
    if held.delayed:
        count("OrdersDelayed")
    return held._asdict()
