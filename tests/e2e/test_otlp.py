"""`orders run --otlp` and `orders serve --otlp`, against a small receiver on the loopback."""

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.collector import Collector
from tests.fakes.serving import PATIENCE, Served, answer, orders
from tests.host import order


def until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def place(served: Served, *order_ids: str) -> None:
    entries = [
        {
            "EventBusName": "orders-bus",
            "Source": "orders.service",
            "DetailType": "Order Created",
            "Detail": json.dumps(
                order(one, items=[{"sku": "TEA-CHAI-050", "quantity": 1, "unit_price": 12.5}])[
                    "detail"
                ]
            ),
        }
        for one in order_ids
    ]
    assert served.client("events").put_events(Entries=entries)["FailedEntryCount"] == 0


def is_whole(collector: Collector, order_id: str) -> bool:
    """Return whether a trace has all from PutEvents to mail, and no span without its parent."""
    trace = collector.trace(order_id)
    ids = {span["spanId"] for span in trace}
    names = {span["name"] for span in trace}
    parents = {span["parentSpanId"] for span in trace if "parentSpanId" in span}
    wanted = {"PutEvents Order Created", "ProcessPaymentFunction", "send mail"}
    return {*wanted, "outbox Order Completed", "orderflow-order-processing"} <= names and (
        parents <= ids and len({span["traceId"] for span in trace}) == 1
    )


def told(data: Path) -> list[str]:
    """Return what the exporter has written to the log."""
    lines = map(json.loads, (data / "orderflow.log").read_text().splitlines())
    return [line["message"] for line in lines if line.get("service") == "telemetry"]


def test_a_run_exports_a_trace_of_each_order_and_the_metrics(tmp_path: Path) -> None:
    with Collector() as collector:
        done = answer("run", "--count", 10, "--data", tmp_path / "d", "--otlp", collector.url)
    assert collector.problems == []
    assert done["exported"]["complete"]
    assert done["exported"]["rejected"] == 0
    assert done["exported"]["spans"] == len(collector.spans)
    assert collector.repeated == 0
    roots = [span for span in collector.spans.values() if "parentSpanId" not in span]
    assert len({span["traceId"] for span in roots}) == len(roots) == done["totals"]["orders"]
    completed = collector.values["OrdersCompleted", '{"service": "orders"}']
    assert completed == done["completed"]
    assert collector.values["orderflow.orders.in_flight", "{}"] == str(done["in_flight"])


def test_a_server_exports_while_it_serves(tmp_path: Path) -> None:
    with Collector() as collector, Served(tmp_path / "d", "--otlp", collector.url) as served:
        place(served, "T-1", "T-2")
        until(lambda: is_whole(collector, "T-1") and is_whole(collector, "T-2"), "no whole trace")
        assert served.stop() == 0
        assert collector.problems == []
        assert "/v1/metrics" in {path for path, _ in collector.requests}
    assert f"to {collector.url}" in served.output()


def test_a_crash_loses_no_span(tmp_path: Path) -> None:
    """The second server exports the rest from the journal."""
    with Collector() as collector:
        collector.answers.extend([503] * 1000)
        with Served(tmp_path / "d", "--otlp", collector.url) as served:
            place(served, "T-1")
            served.until("select count(*) from orders where status = 'COMPLETED'", 1)
            served.until("select count(*) from mails", 1)
            served.kill()
        assert collector.spans == {}
        collector.answers.clear()
        with Served(tmp_path / "d", "--otlp", collector.url) as served:
            until(lambda: is_whole(collector, "T-1"), "the trace of before the crash")
            assert served.stop() == 0
        assert collector.problems == []


def test_a_receiver_that_returns_gets_everything(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data, url = tmp_path / "d", f"http://127.0.0.1:{port}"
    with Served(data, "--otlp", url) as served:
        place(served, "T-1")
        served.until("select count(*) from mails", 1)
        until(lambda: told(data), "no line in the log")
        with Collector(port) as collector:
            until(lambda: is_whole(collector, "T-1"), "the trace of before the receiver")
            assert served.stop() == 0
    [line] = told(data)
    assert "not available" in line, "a state that lasts is logged once"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_status_that_asks_for_a_repetition_gets_it(status: int, tmp_path: Path) -> None:
    with Collector() as collector:
        collector.answers.append(status)
        done = answer("run", "--count", 3, "--data", tmp_path / "d", "--otlp", collector.url)
    assert done["exported"]["complete"]
    assert done["exported"]["spans"] == len(collector.spans) > 0


def test_a_refused_request_is_told_and_does_not_block_the_next(tmp_path: Path) -> None:
    with Collector() as collector:
        collector.answers.append(400)
        done = answer("run", "--count", 3, "--data", tmp_path / "d", "--otlp", collector.url)
    assert done["exported"]["rejected"] > 0
    assert "HTTP 400" in done["exported"]["problem"]
    assert done["exported"]["complete"]


def test_a_run_without_a_receiver_processes_all_the_same(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        done = answer("run", "--count", 3, "--data", tmp_path / "d", "--otlp", url)
    assert done["totals"]["in_flight"] == 0
    assert not done["exported"]["complete"]
    with Collector() as collector:
        later = answer("run", "--count", 0, "--data", tmp_path / "d", "--otlp", collector.url)
    assert later["exported"]["complete"]
    roots = [span for span in collector.spans.values() if "parentSpanId" not in span]
    assert len(roots) == done["totals"]["orders"]


def test_a_base_address_with_a_path_and_headers_of_the_environment_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20secret")
    with Collector() as collector:
        url = f"{collector.url}/otlp/"
        done = answer("run", "--count", 1, "--data", tmp_path / "d", "--otlp", url)
    assert {path for path, _ in collector.requests} <= {"/otlp/v1/traces", "/otlp/v1/metrics"}
    assert all(head["authorization"] == "Bearer secret" for _, head in collector.requests)
    assert done["exported"]["rejected"] > 0, "the receiver has no such path"


def test_an_address_of_no_receiver_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for command in ("run", "serve"):
        done = orders(command, "--data", tmp_path / "d", "--otlp", "localhost:4318")
        assert done.returncode == 1
        assert "write http://HOST:PORT" in done.stderr
        assert not (tmp_path / "d").exists()
