"""``/health``, ``/ready``, ``/metrics`` and ``/version`` of a server, as monitors read them."""

import http.client
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra.local.directory.schema import VERSION
from tests.fakes.serving import PATIENCE, Served, orders

ORDERS = 40


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with generated orders of every kind."""
    data = tmp_path_factory.mktemp("probes") / "data"
    done = orders("run", "--count", ORDERS, "--data", data)
    assert done.returncode == 0, done.stderr
    return data


@pytest.fixture(scope="module")
def server(data: Path) -> Iterator[Served]:
    with Served(data) as served:
        yield served


def text_of(server: Served, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    try:
        connection.request(method, path, headers=headers)
        reply = connection.getresponse()
        return reply.status, reply.read().decode()
    finally:
        connection.close()


def samples(server: Served) -> dict[tuple[str, ...], float]:
    """Return the samples of ``/metrics``, parsed by Prometheus's client, by name and labels."""
    status, text = text_of(server, "/metrics")
    assert status == 200
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_health_and_version_answer(server: Served) -> None:
    assert server.ask("GET", "/health") == (200, {"status": "ok"})
    status, version = server.ask("GET", "/version")
    assert (status, version["data_directory"]) == (200, VERSION)
    assert version["version"].count(".") == 2


@pytest.mark.parametrize("path", ["/health", "/ready", "/version", "/metrics"])
def test_head_has_no_body_and_a_post_is_refused(server: Served, path: str) -> None:
    assert text_of(server, path, "HEAD") == (200, "")
    assert text_of(server, path, "POST")[0] == 405


def test_ready_has_the_workers(server: Served) -> None:
    status, state = server.ask("GET", "/ready")
    assert status == 200
    assert state["ready"] is True
    assert state["workers"] == {"alive": 2, "wanted": 2, "replaced": 0}


def test_the_metrics_agree_with_the_orders_and_with_the_status(server: Served) -> None:
    found = samples(server)
    for status in ("COMPLETED", "FAILED", "CANCELLED"):
        [truth] = server.rows("select count(*) from orders where status = ?", status)
        ended = [
            number
            for key, number in found.items()
            if key[:2] == ("orderflow_orders_ended_total", status.lower())
        ]
        assert sum(ended) == truth[0] > 0
    document: dict[str, Any] = json.loads(orders("status", "--data", server.data, "--json").stdout)
    assert document["totals"]["completed"] == found["orderflow_orders_ended_total", "completed", ""]
    assert found["orderflow_time_to_complete_seconds_count",] == document["totals"]["completed"]
    last = ("orderflow_time_to_complete_seconds_bucket", "+Inf")
    assert found[last] == document["totals"]["completed"]
    assert document["workers"]["ready"] is True
    [events] = server.rows("select count(*) from events where detail_type = 'Order Created'")
    assert found["orderflow_events_total", "Order Created"] == events[0]


def test_the_buckets_of_a_histogram_are_cumulative(server: Served) -> None:
    buckets = [
        value
        for key, value in samples(server).items()
        if key[0] == "orderflow_time_to_complete_seconds_bucket"
    ]
    assert buckets == sorted(buckets)
    assert buckets[-1] > 0


def test_the_metrics_take_milliseconds(server: Served) -> None:
    text_of(server, "/metrics")
    times = []
    for _ in range(15):
        start = time.perf_counter()
        text_of(server, "/metrics")
        times.append(time.perf_counter() - start)
    assert min(times) < 0.02


def test_a_killed_worker_is_replaced_and_counted(data: Path, server: Served) -> None:
    assert server.process is not None
    [fork_server] = _children(server.process.pid)
    os.kill(_children(fork_server)[0], signal.SIGKILL)
    end = time.monotonic() + PATIENCE
    while server.ask("GET", "/ready")[1]["workers"] != {"alive": 2, "wanted": 2, "replaced": 1}:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert samples(server)["orderflow_workers_replaced_total",] == 1
    lines = [json.loads(line) for line in (data / "orderflow.log").read_text().splitlines()]
    [ended] = [line for line in lines if "another one replaces it" in line["message"]]
    assert ended["level"] == "WARN"


def _children(process: int) -> list[int]:
    text = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(number) for number in text.split()]


def test_with_tokens_the_metrics_are_for_operators_alone(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    reader, operator = "r" * 32, "o" * 32
    tokens.write_text(f"{reader} reader orders/read\n{operator} watcher orders/operate\n")
    tokens.chmod(0o600)
    with Served(tmp_path / "data", "--token-file", str(tokens)) as server:
        assert text_of(server, "/metrics")[0] == 401
        assert text_of(server, "/metrics", Authorization=f"Bearer {reader}")[0] == 403
        assert text_of(server, "/metrics", Authorization=f"Bearer {operator}")[0] == 200
        assert text_of(server, "/ready")[0] == 200
        assert text_of(server, "/health")[0] == 200
