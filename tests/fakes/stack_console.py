"""One visitor of a stack's console in this process, and the calls of AWS that it costs."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from urllib.parse import urlencode

from botocore.client import BaseClient
from botocore.exceptions import ClientError

from infra.console.loopback import KEY, LoopbackConsole
from infra.console.stack.limits import LOOPBACK, Limits
from infra.console.stack.sample import LastLook
from infra.console.stack.source import StackSource
from infra.deployed.stack import DeployedStack
from tests.fakes.console import Shown, ask
from tests.fakes.console_role import role_of_the_console

PORT = 8123
WHO = "ada"


class StackVisitor:
    """A visitor of the console of a stack; signed in unless ``cookie`` is emptied."""

    def __init__(
        self,
        stack: DeployedStack,
        runner: asyncio.Runner,
        limits: Limits = LOOPBACK,
        sample: LastLook | None = None,
    ) -> None:
        self.source = StackSource(stack, "orderflow-test", sample=sample, limits=limits)
        self.application = LoopbackConsole(self.source, PORT, WHO)
        self._runner = runner
        self.cookie = ""
        self.cookie = self.sign_in(self.application.key)

    def sign_in(self, key: str) -> str:
        """Open the printed address; return the cookie that it gives, or an empty text."""
        opened = self.get(f"/console/?{KEY}={key}")
        return opened.headers.get("set-cookie", "").partition(";")[0]

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Shown:
        """Return a page; ``path`` may have a query."""
        return self._ask("GET", path, b"", headers or {})

    def post(
        self, path: str, form: Mapping[str, object], headers: Mapping[str, str] | None = None
    ) -> Shown:
        """Send a form, as a page of the console does."""
        sent = {
            "content-type": "application/x-www-form-urlencoded",
            "sec-fetch-site": "same-origin",
        }
        return self._ask("POST", path, urlencode(form).encode(), {**sent, **(headers or {})})

    def acted(self, path: str, form: Mapping[str, object]) -> Shown:
        """Send a form, and return the page after it, with its notice."""
        answer = self.post(path, form)
        assert answer.status == 303, answer.text
        return self.get(answer.headers["location"])

    def poll(self, path: str) -> Shown:
        """Return the live part of a page, as its polling does."""
        return self.get(path, {"hx-request": "true", "hx-target": "div#live"})

    def _ask(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Shown:
        given = {"host": f"127.0.0.1:{PORT}", **headers}
        if self.cookie:
            given.setdefault("cookie", self.cookie)
        return self._runner.run(ask(self.application, PORT, (method, target), given, body))


@contextmanager
def visiting(
    stack: DeployedStack, limits: Limits = LOOPBACK, sample: LastLook | None = None
) -> Iterator[StackVisitor]:
    """Open the console of a stack; its calls have the permissions of the hosted console's role."""
    with role_of_the_console(stack), asyncio.Runner() as runner:
        visitor = StackVisitor(stack, runner, limits, sample)
        try:
            yield visitor
        finally:
            visitor.application.console.release()


_call = BaseClient._make_api_call  # type: ignore[attr-defined]  # noqa: SLF001 - boto3 has no hook before


@contextmanager
def counted_calls() -> Iterator[list[str]]:
    """Return the list of the operations of AWS that are called in the block."""
    calls: list[str] = []

    def counting(client: Any, operation: str, request: Any) -> Any:
        calls.append(operation)
        return _call(client, operation, request)

    with patch.object(BaseClient, "_make_api_call", counting):
        yield calls


@contextmanager
def refusing(operations: Mapping[str, str], message: str = "no") -> Iterator[None]:
    """Let AWS refuse some operations, each with an error code."""

    def refuse(client: Any, operation: str, request: Any) -> Any:
        if operation in operations:
            error: Any = {"Error": {"Code": operations[operation], "Message": message}}
            raise ClientError(error, operation)
        return _call(client, operation, request)

    with patch.object(BaseClient, "_make_api_call", refuse):
        yield
