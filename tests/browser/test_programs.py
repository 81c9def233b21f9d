"""Programs without browser headers: curl and the AWS CLI."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.serving import Served

TOKEN = "o" * 40
LINE = {"sku": "TEA-GREEN-100", "quantity": 1, "unit_price": 10}
ORDER = {"customer_id": "C-1", "currency": "GBP", "items": [LINE]}

curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
aws = pytest.mark.skipif(shutil.which("aws") is None, reason="the AWS CLI is not installed")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("server") / "data") as served:
        yield served


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a directory with tokens."""
    folder = tmp_path_factory.mktemp("guarded")
    tokens = folder / "tokens"
    tokens.write_text(f"{TOKEN} ops orders/read orders/write orders/operate\n")
    tokens.chmod(0o600)
    with Served(folder / "data", "--token-file", str(tokens)) as served:
        yield served


def run(*command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end."""
    return subprocess.run(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def curl_answer(*arguments: str) -> tuple[int, Any]:
    """Return the status and the JSON of curl's response."""
    done = run("curl", "-sS", "-w", "\n%{http_code}", *arguments)
    assert done.returncode == 0, done.stderr
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


@curl
def test_curl_places_and_reads_orders_without_extra_headers(server: Served) -> None:
    orders = f"{server.address}/orders"
    status, placed = curl_answer("-d", json.dumps(ORDER), orders)
    assert status == 201
    assert curl_answer(f"{orders}/{placed['order_id']}")[0] == 200
    again = [
        curl_answer("-d", json.dumps(ORDER), "-H", "Idempotency-Key: k-1", orders) for _ in range(2)
    ]
    assert [status for status, _ in again] == [201, 200]
    assert curl_answer("-X", "PATCH", "-d", "{}", f"{orders}/{placed['order_id']}")[0] in (409, 422)
    assert curl_answer(f"http://localhost:{server.port}/health")[0] == 200
    assert curl_answer("-H", "Host: evil.example", f"{server.address}/health")[0] == 421


@curl
def test_curl_sends_a_token(guarded: Served) -> None:
    orders = f"{guarded.address}/orders"
    assert curl_answer("-d", json.dumps(ORDER), orders)[0] == 401
    header = ("-H", f"Authorization: Bearer {TOKEN}")
    assert curl_answer(*header, "-d", json.dumps(ORDER), orders)[0] == 201


def put(server: Served, folder: Path, order_id: str, **environment: str) -> Any:
    """Put an order with the AWS CLI; return the completed process."""
    detail = {**ORDER, "order_id": order_id, "total": 10, "timestamp": "2026-01-31T12:00:00Z"}
    entry = {
        "EventBusName": "orders-bus",
        "Source": "orders.service",
        "DetailType": "Order Created",
        "Detail": json.dumps(detail),
    }
    entries = folder / "entries.json"
    entries.write_text(json.dumps([entry]))
    where = ("--endpoint-url", server.address, "--region", "us-east-1")
    keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_MAX_ATTEMPTS": "1"}
    command = ("aws", "events", "put-events", "--entries", f"file://{entries}", *where)
    return run(*command, **keys, **environment)


@aws
def test_the_aws_cli_puts_events(server: Served, tmp_path: Path) -> None:
    done = put(server, tmp_path, "CLI-1")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["FailedEntryCount"] == 0
    server.until("select count(*) from orders where order_id = 'CLI-1'", 1)


@aws
def test_the_aws_cli_sends_a_token_as_session_token(guarded: Served, tmp_path: Path) -> None:
    refused = put(guarded, tmp_path, "CLI-2")
    assert refused.returncode != 0
    assert "MissingAuthenticationTokenException" in refused.stderr
    assert "AWS_SESSION_TOKEN" in refused.stderr
    done = put(guarded, tmp_path, "CLI-2", AWS_SESSION_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
