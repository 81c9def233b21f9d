"""The refusal of AWS's query protocol, which older clients of SQS speak: forms in, XML out.

Source: Amazon SQS Developer Guide, "Amazon SQS AWS JSON protocol FAQs", and "Interpreting Amazon
SQS XML API responses" for the form of an error.
"""

from http import HTTPStatus

from infra.server.reply import Reply
from infra.server.request import Request

FORM = "application/x-www-form-urlencoded"
_ERROR = """\
<?xml version="1.0"?>
<ErrorResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><Error><Type>Sender</Type>\
<Code>UnsupportedProtocol</Code><Message>{}</Message></Error></ErrorResponse>
"""
_MESSAGE = (
    "one machine answers AWS's JSON protocol, and this request is in the query protocol; use a"
    " client that speaks JSON to SQS, such as boto3 or AWS CLI of December 2023 or newer"
)


def is_query(request: Request) -> bool:
    """Return whether a request is in the query protocol: a form sent to AWS's endpoint."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return request.method == "POST" and kind == FORM and "x-amz-target" not in request.headers


def refusal() -> Reply:
    """Return the error, in the form that such a client reads."""
    headers = (("content-type", "text/xml"),)
    return Reply(HTTPStatus.BAD_REQUEST, headers, _ERROR.format(_MESSAGE).encode())
