"""A worker's timer, which returns queued invocations while one runs long."""

import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any, cast

import orjson
import pytest

import infra.local.workers.worker as module
from infra.local.workers.channel import Channel
from infra.local.workers.execution_environment import ExecutionEnvironment
from infra.local.workers.group_commit import GroupCommit
from infra.local.workers.worker import RETURNED
from storage.sqlite.database import Database


class Sent:
    """A channel that has one batch of messages, keeps what is sent, and then is closed."""

    def __init__(self, connected: socket.socket) -> None:
        self.connected = connected
        self.messages: list[bytes] = []
        self.waiting: list[bytes] = []

    def fileno(self) -> int:
        return self.connected.fileno()

    def receive(self) -> list[bytes]:
        if not self.waiting:
            raise EOFError
        received, self.waiting = self.waiting, []
        return received

    def send(self, messages: list[bytes]) -> None:
        self.messages += messages

    @property
    def returned(self) -> list[list[int]]:
        """The ids of each message with invocations that are returned unrun."""
        sent = (each for each in self.messages if each.startswith(RETURNED))
        return [orjson.loads(each.removeprefix(RETURNED)) for each in sent]

    @property
    def answered(self) -> list[int]:
        """The ids of the invocations with a result, in their order."""
        heads = (each.split(b"\n")[0] for each in self.messages if not each.startswith(RETURNED))
        return [orjson.loads(head)[0] for head in heads]


class Functions:
    """An environment whose functions are given."""

    def __init__(self, functions: dict[str, Callable[[], None]]) -> None:
        self.functions = functions

    def invoke(self, name: str, *_: Any) -> tuple[bytes, bytes, list[str]]:
        self.functions[name]()
        return b"null", b"", []


class Awaited(Database):
    """A database whose write lock another process holds, until ``waits`` was called."""

    waits: Callable[[], None] | None = None

    def acquire_write_lock(self, *, wait: bool) -> bool:
        if wait and self.waits is not None:
            self.waits()
        return wait


def time_passes() -> None:
    """Let the timer fire, when the running invocation counts as a long one."""
    signal.raise_signal(signal.SIGALRM)


@pytest.fixture
def channel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sent]:
    monkeypatch.setattr(module, "RETURN_AFTER", 0.0)
    before = signal.getsignal(signal.SIGALRM)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Sent(ours)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> list[GroupCommit]:
    """Return a list that gets the write strategy of the worker."""
    found: list[GroupCommit] = []
    monkeypatch.setattr(module, "use_write_strategy", found.append)
    return found


def run(channel: Sent, names: list[str], **functions: Callable[[], None]) -> None:
    """Run invocations, with the ids 1, 2 and so on."""
    for number, name in enumerate(names, 1):
        channel.waiting.append(orjson.dumps([number, name, 0.0]) + b"\n{}")
    environment = cast("ExecutionEnvironment", Functions(functions))
    module._Worker(cast("Channel", channel), environment).run()  # noqa: SLF001 - of the process


@pytest.mark.usefixtures("group")
def test_invocations_behind_a_long_one_are_returned(channel: Sent) -> None:
    run(channel, ["short", "long", "short"], short=lambda: None, long=time_passes)
    assert channel.returned == [[3]]
    assert channel.answered == [1, 2]


def test_a_result_that_waits_for_its_commit_is_not_returned_with_the_queue(
    channel: Sent, group: list[GroupCommit]
) -> None:
    """A write waits for a lock: its group is committed, and the results are not sent yet."""
    orders, sandbox = Database(":memory:"), Awaited(":memory:")
    sandbox.waits = time_passes

    def write(database: Database) -> None:
        with group[0].write(database, flush=False):
            pass

    functions = {"first": lambda: write(orders), "second": lambda: write(sandbox)}
    run(channel, ["first", "second", "second"], **functions)
    for database in (orders, sandbox):
        database.close()
    assert channel.returned == []
    assert channel.answered == [1, 2, 3]
