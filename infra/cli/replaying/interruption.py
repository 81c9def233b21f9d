"""Interruption of a replay between two requests, so that its counts and checkpoint are exact."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Whether the user or the system asked the replay to stop; a second Ctrl-C stops it at once."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    def sleep(self, seconds: float) -> None:
        """Wait so many seconds, or until the replay is to stop."""
        if seconds > 0:
            self._asked.wait(seconds)

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if the replay is to stop."""
        if self._asked.is_set():
            raise KeyboardInterrupt

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Take the signals within a block of the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = [signal.signal(number, self._ask) for number in SIGNALS]
        try:
            yield
        finally:
            for number, handler in zip(SIGNALS, before, strict=True):
                signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the library's
        if self._asked.is_set():
            raise KeyboardInterrupt
        self._asked.set()
