"""CORS headers of the HTTP API, as in API Gateway.

Source: API Gateway Developer Guide, "Configure CORS for HTTP APIs": a preflight is answered without
an OPTIONS route and without a token; CORS headers of the function are replaced; an origin that is
not allowed gets no CORS headers.
"""

from infra.local.template.stack import Cors
from infra.server.reply import Reply
from infra.server.request import Request

_PREFIX = "access-control-"


def with_cors_headers(cors: Cors, request: Request, reply: Reply) -> Reply:
    """Return a response of the HTTP API with the CORS headers for the request's origin."""
    own = tuple(pair for pair in reply.headers if not pair[0].startswith(_PREFIX))
    headers = {} if cors.allows_all else {"vary": "origin"}
    origin = request.headers.get("origin", "")
    if is_allowed(cors, origin):
        headers |= _allowed(cors, origin)
        headers |= _preflight(cors) if request.is_preflight else _exposed(cors)
    return Reply(reply.status, own, reply.body).with_headers(headers)


def is_allowed(cors: Cors | None, origin: str | None) -> bool:
    """Return whether pages of an origin may call the HTTP API; ``null`` is no origin."""
    return cors is not None and origin is not None and "://" in origin and cors.allows(origin)


def _allowed(cors: Cors, origin: str) -> dict[str, str]:
    headers = {
        _PREFIX + "allow-origin": "*" if cors.allows_all else origin,
        "cross-origin-resource-policy": "cross-origin",
    }
    if cors.credentials:
        headers[_PREFIX + "allow-credentials"] = "true"
    return headers


def _preflight(cors: Cors) -> dict[str, str]:
    lists = {"allow-methods": cors.methods, "allow-headers": cors.headers}
    headers = {_PREFIX + name: ",".join(values) for name, values in lists.items() if values}
    if cors.max_age is not None:
        headers[_PREFIX + "max-age"] = str(cors.max_age)
    return headers


def _exposed(cors: Cors) -> dict[str, str]:
    return {_PREFIX + "expose-headers": ",".join(cors.exposed)} if cors.exposed else {}
