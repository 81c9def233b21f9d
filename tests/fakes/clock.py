"""A clock that a test sets."""

from dataclasses import dataclass


@dataclass(slots=True)
class SetClock:
    """A clock in seconds that only a test moves; it is called like `time.time`."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now
