"""Values that are kept for some seconds, so that many tabs cost as much as one.

The seconds are those of the day's clock. A monotonic clock does not advance while a laptop sleeps
or a function's process is stopped, so its values would be older than their seconds.
"""

import time
from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")

MOST = 200
"""Maximum values that are kept."""

SLOWEST = 30.0
"""Seconds after which a value that is being made is not kept: its first part is too old."""


class Cache:
    """Values by key; of several threads that want one, one makes it."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._values: dict[object, tuple[float, float, Any]] = {}
        self._making: dict[object, Lock] = {}
        self._lock = Lock()
        self._clock = clock
        self._cleared = 0

    def get(self, key: object, seconds: float, make: Callable[[], T]) -> T:
        """Return the value of a key, made at most some seconds ago."""
        with self._lock:
            if len(self._making) > 2 * MOST:
                self._making = {key: lock for key, lock in self._making.items() if lock.locked()}
            making = self._making.setdefault(key, Lock())
        with making:
            since, until, value = self._values.get(key, (0.0, 0.0, None))
            begun = self._clock()
            if since <= begun < until:  # a clock that was set back ends it too
                found: T = value
                return found
            cleared = self._cleared
            made = make()
            with self._lock:
                now = self._clock()
                if cleared == self._cleared and now - begun <= SLOWEST:  # no action came between
                    self._values[key] = (now, now + seconds, made)
                    self._forget()
            return made

    def clear(self) -> None:
        """Forget every value: an action has changed something."""
        with self._lock:
            self._values.clear()
            self._cleared += 1

    def _forget(self) -> None:
        now = self._clock()
        if len(self._values) > MOST:
            self._values = {key: each for key, each in self._values.items() if each[1] > now}
        while len(self._values) > MOST:
            del self._values[next(iter(self._values))]
