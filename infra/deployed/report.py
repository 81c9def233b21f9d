"""The daily report of a deployed stack: rendered by its function, read by a presigned URL."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from analytics.usecases import report_name
from infra.deployed.account import translate_errors
from infra.deployed.stack import DeployedStack
from infra.errors import AWSError

PREFIX = "reports"
"""The prefix, or folder, of the reports in the bucket."""

EXPIRY = 3600
"""Seconds for which a URL is valid, unless the credentials expire before."""

_PATIENCE = 330.0
"""Seconds to wait for the function, whose timeout is 300."""

_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
_REMEDY = "deploy the stack again"


@dataclass(frozen=True, slots=True)
class Page:
    """The location of a report, and a URL for a browser."""

    location: str
    url: str


def report_page(stack: DeployedStack, day: date) -> Page:
    """Return the report of a day; render it if it is missing, or older than the end of its day.

    Raises
    ------
    AWSError
        The function failed, or AWS refused a call.
    """
    bucket, key = stack.name("AnalyticsBucket"), f"{PREFIX}/{report_name(day)}"
    s3 = stack.client("s3", signature_version="s3v4", s3=_addressing(stack))
    if not _is_complete(s3, bucket, key, day):
        _render(stack, day)
    with translate_errors(f"the bucket {bucket}", _REMEDY):
        url = s3.generate_presigned_url(
            "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=EXPIRY
        )
    return Page(f"s3://{bucket}/{key}", url)


def _is_complete(s3: Any, bucket: str, key: str, day: date) -> bool:
    """Return whether the report exists and was written after its day."""
    from botocore.exceptions import ClientError

    with translate_errors(f"the bucket {bucket}", _REMEDY):
        try:
            written: datetime = s3.head_object(Bucket=bucket, Key=key)["LastModified"]
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return False
            raise
    return written >= datetime.combine(day + timedelta(days=1), time(), UTC)


def _render(stack: DeployedStack, day: date) -> None:
    function = stack.name("DailyReportFunction")
    client = stack.client(
        "lambda", read_timeout=_PATIENCE, retries={"mode": "standard", "total_max_attempts": 1}
    )
    with translate_errors(f"the function {function}", _REMEDY):
        answer = client.invoke(
            FunctionName=function, Payload=json.dumps({"date": day.isoformat()}).encode()
        )
        payload = answer["Payload"].read().decode()
    if "FunctionError" in answer:
        raise AWSError(
            f"the report of {day} was not rendered: {_reason(payload)}; the functions' log has more"
        )


def _reason(payload: str) -> str:
    try:
        failure = json.loads(payload)
        return f"{failure['errorType']}: {failure['errorMessage']}"
    except (ValueError, KeyError, TypeError):
        return payload or "no reason given"


def _addressing(stack: DeployedStack) -> dict[str, str]:
    """Return the addressing style: on AWS by a host of the region, since the URL is signed."""
    return {"addressing_style": "auto" if stack.account.endpoint_url else "virtual"}
