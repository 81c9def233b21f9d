"""Release or restock a compensated order's units."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from inventory import usecases, wiring
from lambda_support import init_phase
from lambda_support.observability import instrumented

init_phase.prepare(wiring.ports, "dynamodb")


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``order_id`` and ``epoch``; return ``outcome``, with a reason if it failed."""
    return usecases.release(event["order_id"], event["epoch"], wiring.ports())._asdict()
