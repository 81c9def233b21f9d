"""Validate an event against its contract, and claim its order for this run."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambda_support import init_phase
from lambda_support.observability import instrumented
from orders import usecases, wiring

init_phase.prepare(wiring.ports, "dynamodb")


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``event`` (or ``event.resume``) and ``owner``; return ``order_id`` and ``epoch``."""
    return usecases.claim(event["event"], event["owner"], wiring.ports())._asdict()
