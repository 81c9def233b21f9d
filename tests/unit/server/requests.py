"""Requests to the port, for unit tests."""

from typing import Any

from infra.server.request import TARGET, Request

PORT = 8080


def scope(
    method: str = "GET",
    path: str = "/orders",
    *headers: tuple[str, str],
    host: str | None = "localhost:8080",
    target: str | None = None,
    query: str = "",
) -> dict[str, Any]:
    """Return the ASGI scope of a request."""
    own = [("host", host)] if host is not None else []
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "http_version": "1.1",
        "client": ("127.0.0.1", 5),
        "headers": [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in (*own, *headers)
        ],
        "extensions": {TARGET: target or path},
    }


def request(*arguments: Any, **options: Any) -> Request:
    """Return a request; the arguments are those of `scope`."""
    return Request.of(scope(*arguments, **options))
