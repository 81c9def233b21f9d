"""Responses: problem documents (RFC 9457), AWS's errors, and the headers of every response."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from http import HTTPStatus

Headers = tuple[tuple[str, str], ...]

SAFE: Mapping[str, str] = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""Headers of every response: no caching, framing, content sniffing or sharing with other sites."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A response; header names are in lower case."""

    status: int
    headers: Headers = ()
    body: bytes = b""

    def with_headers(self, headers: Mapping[str, str]) -> "Reply":
        """Return this response with headers added or replaced."""
        kept = tuple(pair for pair in self.headers if pair[0] not in headers)
        return Reply(self.status, (*kept, *headers.items()), self.body)

    def with_defaults(self, headers: Mapping[str, str]) -> "Reply":
        """Return this response with the headers added that it does not have."""
        known = {name for name, _ in self.headers}
        added = tuple(pair for pair in headers.items() if pair[0] not in known)
        return Reply(self.status, (*self.headers, *added), self.body)


def problem_document(status: HTTPStatus, detail: str, **headers: str) -> Reply:
    """Return a problem document; the keyword ``retry_after`` is the header ``retry-after``."""
    document = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail}
    more = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    kind = (("content-type", "application/problem+json"),)
    return Reply(status, (*kind, *more), json.dumps(document).encode())


def query_error(status: int, code: str, message: str) -> Reply:
    """Return an error in AWS's Query protocol, whose clients read XML (Smithy, awsQuery)."""
    text = (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{escape(code)}</Code>"
        f"<Message>{escape(message)}</Message></Error></ErrorResponse>"
    )
    return Reply(status, (("content-type", "text/xml"),), text.encode())


def aws_error(status: int, code: str, message: str, kind: str) -> Reply:
    """Return an error in AWS's JSON protocols; ``kind`` is the content type."""
    document = {"__type": code, "message": message}
    headers = (("content-type", kind), ("x-amzn-errortype", code))
    return Reply(status, headers, json.dumps(document).encode())
