"""Convert a request to API Gateway's event for a function, and the function's answer to a response.

Source: API Gateway Developer Guide, "Create AWS Lambda proxy integrations for HTTP APIs", payload
format 2.0; "Control access to HTTP APIs with JWT authorizers" for ``requestContext.authorizer``.
"""

import base64
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from infra.local.template.loader import ACCOUNT
from infra.local.template.stack import Route
from infra.server.reply import Headers, Reply
from infra.server.request import Request
from infra.server.tokens import Caller
from kernel.json_text import write

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")

_CONNECTION_HEADERS = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})
"""Headers of the connection, not of the response."""

_MIN_STATUS, _MAX_STATUS = 200, 599


class MalformedAnswer(ValueError):
    """A function's answer is not a valid HTTP response; the message has the reason."""


def event_of(
    route: Route,
    parameters: Mapping[str, str],
    request: Request,
    body: bytes,
    caller: Caller | None,
) -> dict[str, Any]:
    """Return a request as the event of an HTTP API.

    Cookies are in a separate list; the values of a repeated query parameter are joined by commas.
    """
    key = f"{route.method} {route.path}"
    try:
        text, encoded = body.decode(), False
    except UnicodeDecodeError:
        text, encoded = base64.b64encode(body).decode(), True
    query = parse_qs(request.query, keep_blank_values=True)
    context: dict[str, Any] = {
        "accountId": ACCOUNT,
        "apiId": "local",
        "domainName": request.hosts[0],
        "http": {
            "method": request.method,
            "path": request.path,
            "protocol": f"HTTP/{request.http_version}",
            "sourceIp": request.client,
            "userAgent": request.headers.get("user-agent", ""),
        },
        "requestId": request.id,
        "routeKey": key,
        "stage": "$default",
        "timeEpoch": int(time.time() * 1000),
    }
    if caller is not None:
        own = {"sub": caller.subject, "scope": " ".join(sorted(caller.scopes))}
        claims = {**dict(caller.claims), **own}
        context["authorizer"] = {"jwt": {"claims": claims, "scopes": list(route.scopes) or None}}
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": key,
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": dict(request.headers),
        "queryStringParameters": {name: ",".join(values) for name, values in query.items()},
        "pathParameters": parameters,
        "requestContext": context,
        "body": text if body else None,
        "isBase64Encoded": encoded,
    }
    if request.cookies:
        event["cookies"] = list(request.cookies)
    return event


def reply_of(answer: Any) -> Reply:
    """Return a function's answer as a response; without a status it is the body of a 200.

    Raises
    ------
    MalformedAnswer
        Its status, headers, cookies or body are invalid.
    """
    if not isinstance(answer, Mapping) or "statusCode" not in answer:
        return Reply(200, (("content-type", "application/json"),), write(answer))
    reply = Reply(_status(answer["statusCode"]), _headers(answer), _body(answer))
    return reply.with_defaults({"content-type": "text/plain; charset=utf-8"})


def _status(value: Any) -> int:
    try:
        status = int(value)
    except (TypeError, ValueError):
        raise MalformedAnswer(f"statusCode is {value!r:.80}") from None
    if not _MIN_STATUS <= status <= _MAX_STATUS:
        raise MalformedAnswer(f"statusCode is {status}")
    return status


def _headers(answer: Mapping[str, Any]) -> Headers:
    headers, cookies = answer.get("headers") or {}, answer.get("cookies") or []
    if not isinstance(headers, Mapping) or not isinstance(cookies, list):
        raise MalformedAnswer("headers is no object, or cookies no list")
    pairs = [(str(name).lower(), _value(value)) for name, value in headers.items()]
    pairs += [("set-cookie", _value(cookie)) for cookie in cookies]
    for name, value in pairs:
        if not _HEADER_NAME.fullmatch(name) or _UNSENDABLE.search(value):
            raise MalformedAnswer(f"the header {name!r:.80} is malformed")
    return tuple(pair for pair in pairs if pair[0] not in _CONNECTION_HEADERS)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise MalformedAnswer(f"a header's value is {value!r:.80}")
    return str(value)


def _body(answer: Mapping[str, Any]) -> bytes:
    body = answer.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise MalformedAnswer("body is no text")
    try:
        return base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()
    except ValueError as error:  # not base64, or a lone surrogate
        raise MalformedAnswer(f"body cannot be sent: {error}") from None
