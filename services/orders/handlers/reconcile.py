"""Find the orders that nothing will come back to, and start them again (every 5 minutes)."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from orders import usecases, wiring
from shared.observability import count, instrumented


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take a scheduled event; answer how many runs were ``started``."""
    started = usecases.reconcile(wiring.ports())
    if started:
        count("OrdersReconciled", started)
    return {"started": started}
