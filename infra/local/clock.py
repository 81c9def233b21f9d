"""The clock as a port: real time, or a clock that skips waits."""

import time


class Clock:
    """The host's time, in epoch seconds."""

    skips = False
    offset = 0.0

    def now(self) -> float:
        """Return the time."""
        return time.time() + self.offset


class SkippingClock(Clock):
    """A clock that jumps to the next due item while the engine is idle."""

    skips = True

    def skip_to(self, moment: float) -> None:
        """Jump forward to a moment; a moment in the past changes nothing."""
        self.offset += max(0.0, moment - self.now())
