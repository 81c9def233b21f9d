"""Let an order wait for stock or for the gateway."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from orders import usecases, wiring
from shared.observability import instrumented


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``order_id``, ``epoch`` and ``because``; answer whether it waits, and how long."""
    held = usecases.pause(event["order_id"], event["epoch"], event["because"], wiring.ports())
    return held._asdict()
