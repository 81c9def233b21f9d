"""The command in a process: `orders …` until it ends, and `orders serve` on a free port."""

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import boto3
from botocore.config import Config

COMMAND = Path(sys.executable).with_name("orders")
PATIENCE = 30.0
"""Timeout, in seconds, for a process and its effects."""


def orders(
    *arguments: object, timeout: float = 60, stdin: bytes = b""
) -> "subprocess.CompletedProcess[str]":
    """Run the command until it ends."""
    done = subprocess.run(
        [COMMAND, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def answer(*arguments: object, timeout: float = 60) -> Any:
    """Return the JSON document of a command, which must succeed."""
    done = orders(*arguments, "--json", timeout=timeout)
    assert done.returncode == 0, f"{done.args}: {done.stderr}{done.stdout}"
    return json.loads(done.stdout.splitlines()[-1])


class Served:
    """`orders serve` in a data directory; killed at the end of the block."""

    def __init__(self, data: Path, *arguments: str) -> None:
        self.data = data
        self.arguments = arguments
        self.address = ""
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def begin(self) -> None:
        """Start the process."""
        (self.data / "endpoint").unlink(missing_ok=True)
        self.data.mkdir(parents=True, exist_ok=True)
        with (self.data.parent / "serve.out").open("ab") as log:
            self.process = subprocess.Popen(
                [COMMAND, "serve", "--port", "0", "--data", self.data, *self.arguments],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def start(self) -> None:
        """Start the process, and wait until it listens."""
        self.begin()
        assert self.process is not None
        endpoint = self.data / "endpoint"
        end = time.monotonic() + PATIENCE
        while not endpoint.exists():
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < end, "no endpoint: " + self.output()
            time.sleep(0.01)
        self.address = endpoint.read_text().strip()
        # the socket listens before the endpoint is published
        socket.create_connection(("127.0.0.1", self.port), PATIENCE).close()

    @property
    def port(self) -> int:
        """The port of the server."""
        return int(self.address.rpartition(":")[2])

    def output(self) -> str:
        """Return the output of the process."""
        return (self.data.parent / "serve.out").read_text()

    def stop(self, how: int = signal.SIGINT) -> int:
        """Send a signal, by default that of Ctrl-C; return the exit code."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """Kill the process, if it is running."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def client(self, service: str) -> Any:
        """Return a boto3 client for this server, without retries."""
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.address,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=30),
        )

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Return the status and the JSON of the response to a request."""
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, content, dict(headers or {}))
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read() or b"null")
        finally:
            connection.close()

    def rows(self, query: str, *parameters: object) -> list[Any]:
        """Return the rows of a query."""
        return rows(self.data / "orderflow.db", query, *parameters)

    def until(self, query: str, wanted: object, seconds: float = PATIENCE) -> None:
        """Wait until a query's first value is ``wanted``."""
        end = time.monotonic() + seconds
        while (value := self.rows(query)[0][0]) != wanted:
            assert time.monotonic() < end, f"{value} is not {wanted}: {query}\n{self.output()}"
            time.sleep(0.05)


def rows(database: Path, query: str, *parameters: object) -> list[Any]:
    """Return the rows of a query, concurrently with the database's writer."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute(query, parameters).fetchall()
    finally:
        connection.close()
