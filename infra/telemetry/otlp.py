"""OTLP over HTTP with JSON: the body of an export, and its request.

Source: OpenTelemetry, "OTLP Specification 1.10.0" (JSON Protobuf Encoding: ids in hexadecimal,
64-bit integers as text, names in lowerCamelCase), and opentelemetry-proto.
"""

import gzip
import http.client
import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from infra.errors import Refusal
from infra.telemetry.spans import Span, Value
from kernel import json_text

TRACES, METRICS = "/v1/traces", "/v1/metrics"
RETRYABLE = {429, 502, 503, 504}
"""Statuses after which a request is repeated (OTLP Specification, "Retryable Response Codes")."""

TIMEOUT = 10.0
"""Seconds for a request: the default of OTEL_EXPORTER_OTLP_TIMEOUT."""

MAX_ANSWER = 1 << 20
"""Bytes of an answer that are read."""

SCOPE = {"name": "orderflow"}
_ERROR = 2


class EndpointError(Refusal):
    """An OTLP endpoint or its headers cannot be used as they are written."""


class Unavailable(Exception):
    """The endpoint did not take the request now; it can be repeated after ``wait`` seconds."""

    def __init__(self, problem: str, wait: float = 0.0) -> None:
        super().__init__(problem)
        self.wait = wait


class Answer(NamedTuple):
    """An answer to an export: how many items were rejected for good, and why."""

    rejected: int
    message: str


def attributes(values: Mapping[str, Value]) -> list[dict[str, Any]]:
    """Return attributes as OTLP writes them."""
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": value.encode("utf-8", "replace").decode()}


def nanoseconds(seconds: float) -> str:
    """Return a time as OTLP writes it, exact to a microsecond."""
    return str(max(0, round(seconds * 1e6)) * 1000)


def traces(spans: Iterable[Span], resource: Mapping[str, Value]) -> dict[str, Any]:
    """Return the body of a request that exports spans."""
    scope = {"scope": SCOPE, "spans": [_span(span) for span in spans]}
    return {
        "resourceSpans": [{"resource": {"attributes": attributes(resource)}, "scopeSpans": [scope]}]
    }


def metrics(values: list[dict[str, Any]], resource: Mapping[str, Value]) -> dict[str, Any]:
    """Return the body of a request that exports metrics."""
    scope = {"scope": SCOPE, "metrics": values}
    return {
        "resourceMetrics": [
            {"resource": {"attributes": attributes(resource)}, "scopeMetrics": [scope]}
        ]
    }


def _span(span: Span) -> dict[str, Any]:
    body: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": nanoseconds(span.start),
        "endTimeUnixNano": nanoseconds(max(span.start, span.end)),
        "attributes": attributes(span.attributes),
    }
    if span.parent_id:
        body["parentSpanId"] = span.parent_id
    if span.moments:
        body["events"] = [
            {"timeUnixNano": nanoseconds(moment.at), "name": moment.name} for moment in span.moments
        ]
    if span.error is not None:
        body["status"] = {"code": _ERROR, "message": span.error}
        body["attributes"] += attributes({"error.type": span.error})
    return body


def check_endpoint(url: str) -> None:
    """Raise `EndpointError` if a URL is no base address of an OTLP/HTTP receiver."""
    parts = urlsplit(url)
    try:
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or parts.username or not url.isascii():
        raise EndpointError(
            f"{url!r} is no address of an OTLP/HTTP receiver; write http://HOST:PORT, such as"
            f" http://127.0.0.1:4318, to which {TRACES} and {METRICS} are added"
        )
    headers()


def headers() -> dict[str, str]:
    """Return the headers in ``OTEL_EXPORTER_OTLP_HEADERS``: ``key=value``, separated by commas.

    Source: OpenTelemetry, "OTLP Exporter Configuration"; values are percent-encoded.
    """
    chosen = {}
    for text in filter(str.strip, os.environ.get("OTEL_EXPORTER_OTLP_HEADERS", "").split(",")):
        name, separator, value = text.partition("=")
        if not (separator and name.strip().isascii()) or any(map(str.isspace, name.strip())):
            raise EndpointError(
                "OTEL_EXPORTER_OTLP_HEADERS has a part without '='; write name=value,name=value"
            )
        chosen[name.strip()] = unquote(value.strip())
    return chosen


class Client:
    """A client of one OTLP/HTTP receiver, which keeps its connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT)
        self._path = parts.path.rstrip("/")
        self._headers = {
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "User-Agent": "orderflow",
            **headers(),
        }

    def export(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Send a body; return how many of its items the receiver rejected for good.

        Raises
        ------
        Unavailable
            There was no answer, or one that asks for a repetition.
        """
        content = gzip.compress(json_text.write(body), 1)
        try:
            self._connection.request("POST", self._path + path, content, self._headers)
            reply = self._connection.getresponse()
            text = reply.read(MAX_ANSWER)
            if reply.length:  # the rest of an endless answer
                self._connection.close()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Unavailable(f"{type(error).__name__}: {error}") from None
        if reply.status in RETRYABLE:
            raise Unavailable(f"HTTP {reply.status}", _wait(reply.getheader("Retry-After")))
        if not 200 <= reply.status < 300:  # noqa: PLR2004 - the statuses of success
            return Answer(-1, f"HTTP {reply.status}: {text[:200].decode('utf-8', 'replace')}")
        return _partial(text)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _wait(seconds: str | None) -> float:
    return min(60.0, float(seconds)) if seconds and seconds.isascii() and seconds.isdigit() else 0.0


def _partial(text: bytes) -> Answer:
    """Return the ``partialSuccess`` of an answer; an unreadable one reports nothing."""
    try:
        partial = json_text.read(text)["partialSuccess"]
        rejected = partial.get("rejectedSpans") or partial.get("rejectedDataPoints") or 0
        return Answer(int(rejected), str(partial.get("errorMessage", "")))
    except (AttributeError, LookupError, TypeError, ValueError):
        return Answer(0, "")
