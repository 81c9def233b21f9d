"""Set an order of high value AWAITING_APPROVAL."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambda_support import init_phase
from lambda_support.observability import instrumented
from orders import approvals, wiring

init_phase.prepare(wiring.ports, "dynamodb")


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``order_id`` and ``epoch``; return ``seconds``, the longest wait for a decision."""
    return approvals.request(event["order_id"], event["epoch"], wiring.ports())._asdict()
