"""`orders tail` follows the events of the bus."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.fakes.serving import COMMAND, Served, answer, orders
from tests.host import order


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tail")
    large = order("A-2", items=[{"sku": "TEA", "quantity": 1, "unit_price": 2000}], total=2000)
    (root / "events.ndjson").write_text(f"{json.dumps(order('A-1'))}\n{json.dumps(large)}\n")
    answer("emit", root / "events.ndjson", "--data", root / "data")
    return root / "data"


def told(data: Path, *options: str) -> list[dict[str, object]]:
    done = orders("tail", "--since", "1h", "--no-follow", *options, "--json", "--data", data)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_each_event_has_the_rules_that_it_matches(data: Path) -> None:
    first, second = told(data)
    assert first["rules"] == ["OrderCreatedRule", "AnalyticsRule"]
    assert second["rules"] == ["OrderCreatedRule", "HighValueRule", "AnalyticsRule"]
    text = orders("tail", "--since", "1h", "--no-follow", "--data", data).stdout
    assert "Order Created  A-2  → OrderCreated, HighValue, Analytics" in text


def test_a_rule_a_filter_and_a_limit_select(data: Path) -> None:
    assert len(told(data, "--rule", "HighValueRule")) == 1
    assert len(told(data, "--filter", "order_id=A-1")) == 1
    assert len(told(data, "--limit", "1")) == 1
    refused = orders("tail", "--rule", "Nope", "--data", data)
    assert "'Nope' does not exist" in refused.stderr


def test_new_events_are_shown_until_ctrl_c(tmp_path: Path) -> None:
    file = tmp_path / "one.ndjson"
    file.write_text(json.dumps(order("B-1")))
    with Served(tmp_path / "data") as served:
        command = [str(COMMAND), "tail", "--data", str(served.data)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        time.sleep(3)  # it begins with the events after its start
        answer("emit", file, "--data", served.data)
        assert b"Order Created  B-1" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
        process.stdout.close()
        process.stderr.close()
