"""The loop of a worker: its timer may interrupt a write, and each invocation is answered once."""

from types import SimpleNamespace
from typing import Any

import pytest

from infra.local.workers.group_commit import GroupedWrite
from infra.local.workers.worker import RETURN_AFTER, _Worker


class Channel:
    """A channel that keeps what a worker sends."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, messages: list[bytes]) -> None:
        self.sent += messages

    def fileno(self) -> int:
        raise AssertionError("the timer asks for more invocations while a write waits")


class Shared:
    """A database whose write lock another process may hold."""

    commits_first = False

    def __init__(self, on_wait: Any = None) -> None:
        self.connection = SimpleNamespace(in_transaction=False, total_changes=0)
        self.connection.execute = self._execute
        self.on_wait = on_wait

    def _execute(self, statement: str) -> None:
        self.connection.in_transaction = statement == "begin immediate"

    def acquire_write_lock(self, *, wait: bool) -> bool:
        if self.on_wait is None:
            return True
        if wait:
            self.on_wait()
        return wait

    def release_write_lock(self) -> None:
        pass


@pytest.mark.parametrize("writes_before", [True, False])
def test_a_timer_in_a_wait_for_a_write_lock_returns_nothing(
    monkeypatch: pytest.MonkeyPatch, *, writes_before: bool
) -> None:
    """The invocation before has a result that is committed and not sent yet."""
    monkeypatch.setattr("infra.local.workers.worker.signal.setitimer", lambda *_: None)
    channel, databases = Channel(), [Shared()]

    def invoke(name: str, _payload: bytes, _offset: float) -> tuple[bytes, bytes, list[str]]:
        if name == "first" and writes_before:
            write(databases[0])
        if name == "second":
            write(databases[1])
        return b"null", b"", []

    def write(database: Any) -> None:
        with GroupedWrite(worker.group, database, flush=False):
            pass

    worker = _Worker(channel, SimpleNamespace(invoke=invoke))  # type: ignore[arg-type]

    def interrupted() -> None:
        worker._started -= 2 * RETURN_AFTER  # noqa: SLF001 - it has waited for long
        worker._on_timer()  # noqa: SLF001 - as the signal's handler

    databases.append(Shared(interrupted))
    names = ("first", "second", "third")
    worker._requests.extend(  # noqa: SLF001
        f'[{number},"{name}",0.0]\n{{}}'.encode() for number, name in enumerate(names)
    )
    worker._run_requests()  # noqa: SLF001
    heads = [message.split(b",", 1)[0] for message in channel.sent]
    assert heads == [b"[0", b"[1", b"[2"]
