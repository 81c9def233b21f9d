"""Handlers that can be paused: each has a thread, but only one of them runs at a time."""

import os
import threading
from collections.abc import Callable


class Fibre:
    """A call that `pause` suspends and `resume` continues."""

    def __init__(self, body: Callable[[], None]) -> None:
        self.body = body
        self.done = False
        self._thread: _Thread | None = None
        self._raised: BaseException | None = None
        self._killed: BaseException | None = None

    def resume(self) -> bool:
        """Run up to the next `pause` or to the end; return whether it has ended."""
        thread = self._thread
        if thread is None:
            thread = self._thread = _idle.pop() if _idle else _Thread()
            thread.fibre = self
        thread.mine.release()
        thread.theirs.acquire()
        if self.done:
            _idle.append(thread)
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised
        return self.done

    def pause(self) -> None:
        """Suspend the fibre; called within it."""
        assert self._thread is not None
        self._thread.theirs.release()
        self._thread.mine.acquire()
        if self._killed is not None:
            raise self._killed

    def kill(self, how: BaseException) -> None:
        """End the fibre at its pause by an exception that its code does not handle."""
        if self._thread is None or self.done:
            self.done = True
            return
        self._killed = how
        try:
            self.resume()
        except BaseException as raised:
            if raised is not how:
                raise

    def run(self) -> None:
        """Run to the end in the fibre's thread."""
        try:
            self.body()
        except BaseException as raised:  # noqa: BLE001 - `resume` raises it again
            self._raised = raised
        self.done = True


def _closed() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


class _Thread:
    """A reusable thread for fibres, because its creation takes as long as a handler."""

    def __init__(self) -> None:
        self.mine = _closed()
        self.theirs = _closed()
        self.fibre: Fibre | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            self.mine.acquire()
            assert self.fibre is not None
            self.fibre.run()
            self.theirs.release()


_idle: list[_Thread] = []
# a forked process has none of its parent's threads
os.register_at_fork(after_in_child=_idle.clear)
