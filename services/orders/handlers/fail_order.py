"""End a compensated order as FAILED or CANCELLED."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from kernel.order_status import Status
from lambda_support import init_phase
from lambda_support.observability import count, instrumented
from orders import usecases, wiring

init_phase.prepare(wiring.ports, "dynamodb")


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``order_id`` and ``epoch``; return the order's last ``status``."""
    status = usecases.fail(event["order_id"], event["epoch"], wiring.ports())
    count("OrdersCancelled" if status is Status.CANCELLED else "OrdersFailed")
    return {"status": status}
