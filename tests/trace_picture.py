"""Draw one order's trace: ``python -m tests.trace_picture FILE.svg`` (`make trace-picture`).

`orders serve --otlp` processes one order and exports it to the collector of the tests; the spans
that arrive there are drawn as a waterfall: a line a span, children below their parents.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from tests.fakes.collector import Collector
from tests.fakes.serving import PATIENCE, Served
from tests.host import order

COLOURS = {1: "#7a8ca5", 3: "#2f7fc1", 4: "#3a9a5b", 5: "#c77b1f"}
KINDS = {1: "state, execution", 3: "function call", 4: "sent message, event", 5: "delivery, mail"}
FAILED, INK, LINE = "#c0392b", "#1f2933", "#e3e7ec"
ROW, NAMES, PLOT, HEAD, SMALLEST = 20, 330, 720, 88, 2.0

Span = dict[str, Any]


def collected(order_id: str = "T-1") -> list[Span]:
    """Return the spans of an order that a server has processed and exported."""
    items = [{"sku": "TEA-CHAI-050", "quantity": 1, "unit_price": 12.5}]
    detail = json.dumps(order(order_id, items=items)["detail"])
    put = {"EventBusName": "orders-bus", "Source": "orders.service", "Detail": detail}
    with tempfile.TemporaryDirectory() as folder, Collector() as collector:
        with Served(Path(folder) / "data", "--otlp", collector.url) as served:
            entry = {**put, "DetailType": "Order Created"}
            served.client("events").put_events(Entries=[entry])
            end = time.monotonic() + PATIENCE
            while not {"send mail", "outbox Order Completed"} <= names(collector.trace(order_id)):
                assert time.monotonic() < end, served.output()
                time.sleep(0.05)
            served.stop()
        assert collector.problems == []
        return collector.trace(order_id)


def names(spans: Iterable[Span]) -> set[str]:
    """Return the names of spans."""
    return {span["name"] for span in spans}


def in_lines(spans: Sequence[Span], parent: str = "", depth: int = 0) -> Iterator[tuple[int, Span]]:
    """Yield each span below its parent, with its depth; spans of one parent by their starts."""
    for span in spans:
        if span.get("parentSpanId", "") == parent:
            yield depth, span
            yield from in_lines(spans, span["spanId"], depth + 1)


def waterfall(spans: Sequence[Span]) -> str:
    """Return the spans of one trace as an SVG document."""
    lines = list(in_lines(spans))
    assert len(lines) == len(spans), "each span has its parent in the trace"
    first = min(int(span["startTimeUnixNano"]) for span in spans)
    total = max(int(span["endTimeUnixNano"]) for span in spans) - first or 1
    height = HEAD + ROW * len(lines) + 16
    width = NAMES + PLOT + 90
    title = f"Trace {escape(spans[0]['traceId'])}: {len(spans)} spans, {total / 1e6:.1f} ms"
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    font = f'font-family="sans-serif" font-size="12" fill="{INK}"'
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="12" y="22" font-size="15">{title}</text>',
        *_legend(),
        *_scale(total, height),
    ]
    for row, (depth, span) in enumerate(lines):
        drawn += _line(span, depth, HEAD + ROW * row, first, total)
    return "\n".join([*drawn, "</svg>", ""])


def _legend() -> Iterator[str]:
    for place, (kind, meaning) in enumerate([*KINDS.items(), (0, "ended with an error")]):
        x = 12 + 150 * place
        colour = COLOURS.get(kind, FAILED)
        yield f'<rect x="{x}" y="34" width="10" height="10" fill="{colour}"/>'
        yield f'<text x="{x + 15}" y="43">{meaning}</text>'


def _scale(total: int, height: int) -> Iterator[str]:
    for tenth in range(0, 11, 2):
        x = NAMES + PLOT * tenth / 10
        yield f'<path d="M{x} {HEAD - 6}V{height - 12}" stroke="{LINE}"/>'
        moment = f"{total * tenth / 1e7:.0f} ms"
        yield f'<text x="{x}" y="{HEAD - 10}" text-anchor="middle">{moment}</text>'


def _line(span: Span, depth: int, y: int, first: int, total: int) -> Iterator[str]:
    start, end = int(span["startTimeUnixNano"]) - first, int(span["endTimeUnixNano"]) - first
    x, width = NAMES + PLOT * start / total, max(SMALLEST, PLOT * (end - start) / total)
    colour = FAILED if "status" in span else COLOURS[span["kind"]]
    name, took = escape(span["name"]), f"{(end - start) / 1e6:.1f} ms"
    yield f"<g><title>{name}: {took}</title>"
    yield f'<text x="{12 + 12 * depth}" y="{y + 14}">{name}</text>'
    yield f'<rect x="{x:.1f}" y="{y + 4}" width="{width:.1f}" height="12" rx="2" fill="{colour}"/>'
    yield f'<text x="{x + width + 5:.1f}" y="{y + 14}" font-size="10">{took}</text>'
    for event in span.get("events", []):
        at = NAMES + PLOT * (int(event["timeUnixNano"]) - first) / total
        yield f'<circle cx="{at:.1f}" cy="{y + 10}" r="3" fill="#fff" stroke="{INK}">'
        yield f"<title>{escape(event['name'])}</title></circle>"
    yield "</g>"


def main() -> None:
    """Write the picture to the file that the command names."""
    path = Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(waterfall(collected()), "utf-8")
    print(path)  # noqa: T201 - for whoever opens it


if __name__ == "__main__":
    main()
