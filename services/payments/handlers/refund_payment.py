"""Refund or void a compensated order's charge."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambda_support import init_phase
from lambda_support.observability import instrumented
from payments import usecases, wiring

init_phase.prepare(wiring.ports, "dynamodb")


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``order_id`` and ``epoch``; return ``outcome`` and ``charge_id``."""
    return usecases.refund(event["order_id"], event["epoch"], wiring.ports())._asdict()
