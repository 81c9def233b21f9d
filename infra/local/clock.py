"""Time as a port: the machine's, or one that skips what nobody has to wait for."""

import time


class Clock:
    """The machine's time, in epoch seconds."""

    skips = False
    offset = 0.0

    def now(self) -> float:
        """Return the time."""
        return time.time() + self.offset


class SkippingClock(Clock):
    """A clock that jumps to the next thing due when nothing else is to be done."""

    skips = True

    def skip_to(self, moment: float) -> None:
        """Jump forward to a moment; never back."""
        self.offset += max(0.0, moment - self.now())
