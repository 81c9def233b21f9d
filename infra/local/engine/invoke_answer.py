"""The answer of ``lambda:invoke``, with the headers and metadata that AWS adds to the payload.

Source: "Invoke an AWS Lambda function with Step Functions", AWS Step Functions Developer Guide.
"""

from email.utils import formatdate
from typing import Any
from uuid import UUID, uuid5

from kernel import json_text

_REQUESTS = UUID("6f1b6d0e-6a53-4a7e-9c7a-0d6f4f1d2b11")


def invoke_answer(payload: Any, number: int, token: int, now: float) -> dict[str, Any]:
    """Return the whole answer; its request id is the same at every repetition of a task."""
    request = str(uuid5(_REQUESTS, f"{number}/{token}"))
    trace = uuid5(_REQUESTS, f"{number}").hex
    headers = {
        "Connection": "keep-alive",
        "Content-Length": str(len(json_text.write(payload))),
        "Content-Type": "application/json",
        "Date": formatdate(now, usegmt=True),
        "X-Amz-Executed-Version": "$LATEST",
        "x-amzn-Remapped-Content-Length": "0",
        "x-amzn-RequestId": request,
        "X-Amzn-Trace-Id": f"root=1-{int(now):08x}-{trace[:24]};parent={trace[16:]};sampled=0",
    }
    return {
        "ExecutedVersion": "$LATEST",
        "Payload": payload,
        "SdkHttpMetadata": {
            "AllHttpHeaders": {name: [value] for name, value in headers.items()},
            "HttpHeaders": headers,
            "HttpStatusCode": 200,
        },
        "SdkResponseMetadata": {"RequestId": request},
        "StatusCode": 200,
    }
