"""A small OTLP receiver on the loopback: keeps spans and metric values, and refuses other JSON.

Source: OpenTelemetry, "OTLP Specification" and opentelemetry-proto: names of fields, lengths of
ids, 64-bit integers as text.
"""

import gzip
import json
import re
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

_ID = {"traceId": 32, "spanId": 16, "parentSpanId": 16}
_TIME = re.compile(r"\d{19}")
_FIELDS = {
    "span": {
        *("traceId", "spanId", "parentSpanId", "name", "kind", "startTimeUnixNano"),
        *("endTimeUnixNano", "attributes", "events", "status"),
    },
    "event": {"timeUnixNano", "name"},
    "status": {"code", "message"},
    "metric": {"name", "unit", "sum", "gauge", "histogram"},
    "shape": {"dataPoints", "aggregationTemporality", "isMonotonic"},
    "point": {
        *("attributes", "startTimeUnixNano", "timeUnixNano", "asDouble", "asInt"),
        *("count", "sum", "min", "max", "bucketCounts", "explicitBounds"),
    },
}


class Collector:
    """A receiver for the length of a block.

    ``answers`` are statuses of the next requests; then each is accepted. ``spans`` has each span
    once, by trace and span id; ``repeated`` counts those that came again.
    """

    def __init__(self, port: int = 0) -> None:
        self.spans: dict[tuple[str, str], dict[str, Any]] = {}
        self.values: dict[tuple[str, str], Any] = {}
        self.repeated = 0
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.problems: list[str] = []
        self.answers: deque[int] = deque()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def trace(self, order_id: str) -> list[dict[str, Any]]:
        """Return the spans of an order in the order of their starts."""
        found = [
            span
            for span in self.spans.values()
            if span["values"].get("orderflow.order_id") == order_id
        ]
        return sorted(found, key=lambda span: (int(span["startTimeUnixNano"]), span["name"]))

    def take(self, path: str, body: Any) -> None:
        """Check and keep the body of a request."""
        if path == "/v1/traces":
            [resource] = body["resourceSpans"]
            for span in resource["scopeSpans"][0]["spans"]:
                self._take_span(span)
        else:
            assert path == "/v1/metrics", path
            [resource] = body["resourceMetrics"]
            for metric in resource["scopeMetrics"][0]["metrics"]:
                self._take_metric(metric)
        assert _values(resource["resource"]["attributes"])["service.name"] == "orderflow"

    def _take_span(self, span: dict[str, Any]) -> None:
        _known(span, "span")
        for field, length in _ID.items():
            if field in span:
                assert re.fullmatch(f"[0-9a-f]{{{length}}}", span[field]), span[field]
        assert _TIME.fullmatch(span["startTimeUnixNano"])
        assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
        assert span["kind"] in range(1, 6)
        for event in span.get("events", []):
            _known(event, "event")
        _known(span.get("status", {}), "status")
        key = span["traceId"], span["spanId"]
        self.repeated += key in self.spans
        self.spans[key] = {**span, "values": _values(span["attributes"])}

    def _take_metric(self, metric: dict[str, Any]) -> None:
        _known(metric, "metric")
        [shape] = (metric[name] for name in ("sum", "gauge", "histogram") if name in metric)
        _known(shape, "shape")
        for point in shape["dataPoints"]:
            _known(point, "point")
            assert _TIME.fullmatch(point["timeUnixNano"])
            dimensions = json.dumps(_values(point["attributes"]), sort_keys=True)
            number = point.get("asDouble", point.get("asInt", point.get("count")))
            self.values[metric["name"], dimensions] = number

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                collector.requests.append((self.path, dict(self.headers)))
                status = collector.answers.popleft() if collector.answers else 200
                if status == 200:
                    status = self._taken(content)
                answer = b"{}"
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def _taken(self, content: bytes) -> int:
                try:
                    assert self.headers["Content-Type"] == "application/json"
                    assert self.headers["Content-Encoding"] == "gzip"
                    collector.take(self.path, json.loads(gzip.decompress(content)))
                except (AssertionError, KeyError, TypeError, ValueError) as error:
                    collector.problems.append(repr(error))
                    return 400
                return 200

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def _known(body: dict[str, Any], kind: str) -> None:
    assert body.keys() <= _FIELDS[kind], body.keys() - _FIELDS[kind]


def _values(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    values = {}
    for attribute in attributes:
        [(kind, value)] = attribute["value"].items()
        assert kind in {"stringValue", "intValue", "doubleValue", "boolValue"}
        assert isinstance(value, str) or kind not in {"stringValue", "intValue"}
        values[attribute["key"]] = value
    return values
