"""Void a compensated order's shipment."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambda_support import init_phase
from lambda_support.observability import instrumented
from shipping import usecases, wiring

init_phase.prepare(wiring.ports, "dynamodb")


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``order_id`` and ``epoch``; return ``outcome`` and ``tracking_number``."""
    return usecases.void(event["order_id"], event["epoch"], wiring.ports())._asdict()
