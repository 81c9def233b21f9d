"""End an order as COMPLETED."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambda_support import init_phase
from lambda_support.observability import count, instrumented
from orders import usecases, wiring

init_phase.prepare(wiring.ports, "dynamodb")


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``order_id`` and ``epoch``; return the order's last ``status``."""
    status = usecases.complete(event["order_id"], event["epoch"], wiring.ports())
    count("OrdersCompleted")
    return {"status": status}
