"""Write the report of a day."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from analytics import usecases, wiring
from lambda_support import init_phase
from lambda_support.observability import instrumented

init_phase.prepare(wiring.ports, "athena", "s3")


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take a ``date``, or a scheduled event for the day before it; return the report's address."""
    ports = wiring.ports()
    day = usecases.day_of(event, ports.now())
    return {"date": day.isoformat(), "report": usecases.daily_report(day, ports)}
