"""A request to the HTTP API in a simulation."""

from typing import Any


def http_request(method: str, path: str, body: str, **claims: str) -> dict[str, Any]:
    """Return a request as API Gateway sends it (HTTP API, payload format 2.0)."""
    return {
        "version": "2.0",
        "routeKey": f"{method} {path}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {
            "http": {"method": method, "path": path, "sourceIp": "127.0.0.1"},
            "stage": "$default",
            "requestId": "1",
            "domainName": "localhost",
            "authorizer": {"jwt": {"claims": {"scope": "orders/operate", **claims}}},
        },
        "body": body,
        "isBase64Encoded": False,
    }
