"""Handlers that can be held up in the middle: each in a thread, but only ever one of them runs."""

import threading
from collections.abc import Callable


class Fibre:
    """A call that stands still at `pause` and goes on at `resume`."""

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
        """Stand still; to be called within the fibre."""
        assert self._thread is not None
        self._thread.theirs.release()
        self._thread.mine.acquire()
        if self._killed is not None:
            raise self._killed

    def kill(self, how: BaseException) -> None:
        """Let it end where it stands, by an exception that nothing in it handles."""
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
        """Run to the end, in the fibre's thread."""
        try:
            self.body()
        except BaseException as raised:  # noqa: BLE001 - raised again where it is resumed
            self._raised = raised
        self.done = True


def _closed() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


class _Thread:
    """A thread that runs fibres, one after the other; making one takes as long as a handler."""

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
