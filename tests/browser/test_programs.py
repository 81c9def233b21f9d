"""Programs that are no browser: curl and the AWS CLI ask as they do, without a header of theirs."""

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
    """Serve with tokens."""
    folder = tmp_path_factory.mktemp("guarded")
    tokens = folder / "tokens"
    tokens.write_text(f"{TOKEN} ops orders/read orders/write orders/operate\n")
    tokens.chmod(0o600)
    with Served(folder / "data", "--token-file", str(tokens)) as served:
        yield served


def said(*command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
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


def asked(*arguments: str) -> tuple[int, Any]:
    """Return the status and the JSON that curl is answered with."""
    done = said("curl", "-sS", "-w", "\n%{http_code}", *arguments)
    assert done.returncode == 0, done.stderr
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


@curl
def test_curl_orders_and_reads_with_what_it_sends_by_itself(server: Served) -> None:
    orders = f"{server.address}/orders"
    status, placed = asked("-d", json.dumps(ORDER), orders)
    assert status == 201
    assert asked(f"{orders}/{placed['order_id']}")[0] == 200
    again = [asked("-d", json.dumps(ORDER), "-H", "Idempotency-Key: k-1", orders) for _ in range(2)]
    assert [status for status, _ in again] == [201, 200]
    assert asked("-X", "PATCH", "-d", "{}", f"{orders}/{placed['order_id']}")[0] in (409, 422)
    assert asked(f"http://localhost:{server.port}/health")[0] == 200
    assert asked("-H", "Host: evil.example", f"{server.address}/health")[0] == 421


@curl
def test_curl_sends_a_token(guarded: Served) -> None:
    orders = f"{guarded.address}/orders"
    assert asked("-d", json.dumps(ORDER), orders)[0] == 401
    sent = ("-H", f"Authorization: Bearer {TOKEN}")
    assert asked(*sent, "-d", json.dumps(ORDER), orders)[0] == 201


def put(server: Served, folder: Path, order_id: str, **environment: str) -> Any:
    """Put an order with the AWS CLI; return how it ended."""
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
    return said(*command, **keys, **environment)


@aws
def test_the_aws_cli_puts_events(server: Served, tmp_path: Path) -> None:
    done = put(server, tmp_path, "CLI-1")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["FailedEntryCount"] == 0
    server.until("select count(*) from orders where order_id = 'CLI-1'", 1)


@aws
def test_the_aws_cli_sends_a_token_as_its_sessions(guarded: Served, tmp_path: Path) -> None:
    refused = put(guarded, tmp_path, "CLI-2")
    assert refused.returncode != 0
    assert "MissingAuthenticationTokenException" in refused.stderr
    assert "AWS_SESSION_TOKEN" in refused.stderr
    done = put(guarded, tmp_path, "CLI-2", AWS_SESSION_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
