"""An HTTP request without its body, for both protocols of the port."""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

Scope = MutableMapping[str, Any]

TARGET = "orderflow.target"
"""The extension of an ASGI scope with the raw request target."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110, section 9.2.1)."""

_AWS_TYPES = ("application/x-amz-json-1.0", "application/x-amz-json-1.1")


@dataclass(frozen=True, slots=True)
class Request:
    """A request without its body.

    Header names are in lower case, and repeated headers are joined by commas. ``hosts`` has every
    ``Host`` header; ``target`` is the raw request target.
    """

    method: str
    path: str
    query: str
    target: str
    headers: Mapping[str, str]
    cookies: tuple[str, ...]
    hosts: tuple[str, ...]
    http_version: str
    client: str
    id: str = field(default_factory=lambda: str(uuid4()))

    @classmethod
    def of(cls, scope: Scope) -> "Request":
        """Return the request of an ASGI scope.

        White space around a header's value is removed (RFC 9110, section 5.5).
        """
        headers: dict[str, str] = {}
        cookies: list[str] = []
        hosts: list[str] = []
        for raw_name, raw_value in scope["headers"]:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1").strip(" \t")
            if name == "cookie":
                cookies += [cookie for part in value.split(";") if (cookie := part.strip(" \t"))]
                continue
            if name == "host":
                hosts.append(value)
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        return cls(
            scope["method"],
            scope["path"],
            scope["query_string"].decode("latin-1"),
            str(scope.get("extensions", {}).get(TARGET, scope["path"])),
            headers,
            tuple(cookies),
            tuple(hosts),
            scope["http_version"],
            (scope.get("client") or ("127.0.0.1",))[0],
        )

    @property
    def is_aws(self) -> bool:
        """Whether this is an operation of AWS's JSON protocols."""
        return self.method == "POST" and self.path == "/" and "x-amz-target" in self.headers

    @property
    def is_query(self) -> bool:
        """Whether this is an operation of AWS's Query protocol (Smithy, awsQuery)."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip()
        form = kind.lower() == "application/x-www-form-urlencoded"
        return self.method == "POST" and form and "x-amz-target" not in self.headers

    @property
    def is_preflight(self) -> bool:
        """Whether this is a CORS preflight (Fetch, "CORS-preflight request")."""
        required = {"origin", "access-control-request-method"}
        return self.method == "OPTIONS" and required <= self.headers.keys()

    @property
    def aws_type(self) -> str:
        """The content type of the response to an AWS client: that of its request."""
        kind = self.headers.get("content-type", "")
        return kind if kind in _AWS_TYPES else "application/x-amz-json-1.1"
