"""`orders console --stack` as a process: it prints one address, serves the loopback, and ends."""

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from infra.deployed.stack import DeployedStack
from kernel import clock
from orders.dynamodb import DynamoOrders
from tests.fakes.aws_port import aws_port
from tests.fakes.records import order
from tests.integration import deployed

ORDERS = Path(sys.executable).parent / "orders"


@pytest.fixture
def address() -> Iterator[str]:
    """Serve a deployed stack with one order."""
    with deployed.stack() as stack:
        _save(stack)
        with aws_port(stack.names) as found:
            yield found


def _save(stack: DeployedStack) -> None:
    now = clock.now()
    times = {"created_at": now - 60, "updated_at": now - 30, "version": 0}
    DynamoOrders(stack.table()).save(order(order_id="P-1", **times).change())


def _get(url: str, cookie: str = "") -> tuple[int, dict[str, str], str]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    connection.request("GET", path, headers={"Cookie": cookie} if cookie else {})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text


def test_the_command_serves_a_stack_until_it_is_interrupted(address: str, tmp_path: Path) -> None:
    command = [str(ORDERS), "console", "--stack", "shop", "--endpoint-url", address]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "80"},
    ) as process:
        try:
            assert process.stdout is not None
            assert "the console of shop at http://127.0.0.1" in process.stdout.readline()
            printed = process.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/console/\?key=[\w-]{43}", printed)
            base = printed.partition("/console/")[0]
            assert _get(f"{base}/console/orders/P-1")[1]["location"].startswith("/console/sign-in")
            status, headers, _ = _get(printed)
            assert (status, headers["location"]) == (303, "/console/")
            cookie = headers["set-cookie"].partition(";")[0]
            status, _, text = _get(f"{base}/console/orders/P-1", cookie)
            assert (status, "P-1" in text) == (200, True)
            assert f"orders show P-1 --stack shop --endpoint-url {address}" in text
            assert _get(f"{base}/console/orders", cookie)[0] == 200
            process.send_signal(signal.SIGINT)
            assert process.stdout.read().strip() == "stopped"
            assert process.wait(10) == 0
        finally:
            process.kill()


def test_a_call_that_aws_does_not_answer_does_not_delay_the_end(tmp_path: Path) -> None:
    over = threading.Event()
    with deployed.stack() as stack:
        names = dict(stack.names)
    with aws_port(names, lambda service: service == "dynamodb" and over.wait(60)) as address:
        command = [str(ORDERS), "console", "--stack", "shop", "--endpoint-url", address]
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                process.stdout.readline()
                printed = process.stdout.readline().strip()
                cookie = _get(printed)[1]["set-cookie"].partition(";")[0]
                slow = threading.Thread(target=_try, args=(printed, cookie), daemon=True)
                slow.start()
                time.sleep(1)
                process.send_signal(signal.SIGINT)
                assert process.wait(6) == 0
            finally:
                over.set()
                process.kill()


def _try(printed: str, cookie: str) -> None:
    with suppress(OSError, http.client.HTTPException):
        _get(f"{printed.partition('/console/')[0]}/console/orders", cookie)
