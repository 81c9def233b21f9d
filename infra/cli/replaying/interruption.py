"""Interruption of a replay between two requests, so that its counts and checkpoint are exact."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)

EVERY = 0.25
"""Seconds of a wait after which it is checked whether another command stops the replay."""


class Interruption:
    """Whether the user or the system asked the replay to stop; a second Ctrl-C stops it at once.

    ``look`` raises if another command stops the replay.
    """

    def __init__(self, look: Callable[[], None] = lambda: None) -> None:
        self._asked = threading.Event()
        self._look = look

    def sleep(self, seconds: float) -> None:
        """Wait so many seconds, or until the replay is to stop."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self._asked.wait(min(left, EVERY)):
            self._look()

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if the user stops the replay; look for another command."""
        if self._asked.is_set():
            raise KeyboardInterrupt
        self._look()

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
