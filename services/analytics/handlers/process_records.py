"""Transform the events that Firehose collects into rows."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from analytics.usecases import to_rows
from lambda_support.observability import count, instrumented, logger


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take Firehose records; return each as a row, or as failed, for the error prefix."""
    transformed = to_rows(event["records"])
    for problem in transformed.problems:
        logger().warning(problem, outcome="ProcessingFailed")
        count("RecordsFailed")
    return {"records": transformed.records}
