"""The platform with the environment of the container's image and of the unit's drop-in."""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.contract.test_containers import platform_variables
from tests.fakes.serving import COMMAND, PATIENCE, orders

TOKEN = "t" * 40


@contextmanager
def served(variables: Mapping[str, str]) -> Iterator[str]:
    """Serve by the environment alone; yield the address."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen(
        [COMMAND, "serve", "--workers", "0"],
        env={**os.environ, **variables, "ORDERS_PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            end = time.monotonic() + PATIENCE
            endpoint = Path(variables["ORDERS_DATA"]) / "endpoint"
            while not endpoint.exists():
                assert process.poll() is None, process.stderr and process.stderr.read()
                assert time.monotonic() < end
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def status(address: str, token: str = "") -> int:
    request = urllib.request.Request(address)  # noqa: S310 - http
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """Return the variables of the image, with paths of this test."""
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{TOKEN} ops orders/read orders/operate\n")
    tokens.chmod(0o400)
    found = platform_variables()
    return {**found, "ORDERS_DATA": str(tmp_path / "data"), "ORDERS_TOKEN_FILE": str(tokens)}


def test_the_image_serves_holders_of_tokens_on_each_address(variables: dict[str, str]) -> None:
    with served(variables) as address:
        assert status(f"{address}/health") == 200
        assert status(f"{address}/orders?customer_id=C-1") == 401
        assert status(f"{address}/orders?customer_id=C-1", TOKEN) == 200
        assert orders("list", "--data", variables["ORDERS_DATA"]).returncode == 0


def test_without_tokens_the_image_does_not_start(variables: dict[str, str]) -> None:
    done = subprocess.run(
        [COMMAND, "serve"],
        env={**os.environ, **variables, "ORDERS_TOKEN_FILE": ""},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert "--token-file" in done.stderr
