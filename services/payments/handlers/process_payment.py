"""Charge an order, once."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from payments import usecases, wiring
from shared.observability import instrumented


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``order_id`` and ``epoch``; answer ``outcome`` and ``charge_id``."""
    return usecases.pay(event["order_id"], event["epoch"], wiring.ports())._asdict()
