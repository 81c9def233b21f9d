"""Progress of a replay on standard error: a line that is replaced, or plain lines elsewhere."""

import time
from collections.abc import Callable

from infra.terminal.output import errors

EVERY, EVERY_PLAIN = 0.2, 5.0
"""Seconds between two lines: on a terminal, and elsewhere."""


class ReplayProgress:
    """The number of sent events, their rate, and the remaining time.

    ``fraction`` returns the share of the source that was read, or None if it is unknown; ``done``
    is the word for the events that were sent.
    """

    def __init__(
        self,
        fraction: Callable[[], float | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        done: str = "sent",
    ) -> None:
        self._done = done
        self._fraction = fraction
        self._clock = clock
        self._started = clock()
        self._replaces = errors.is_terminal
        self._next = self._started + (EVERY if self._replaces else EVERY_PLAIN)
        self._first: tuple[int, float] | None = None
        self._width = 0

    def show(self, read: int, sent: int, note: str = "") -> None:
        """Show the counts, at most once per interval."""
        now = self._clock()
        if self._first is None:
            self._first = (read, self._fraction() or 0.0)
        if now < self._next:
            return
        self._next = now + (EVERY if self._replaces else EVERY_PLAIN)
        text = self.described(read, sent, now) + (f"; {note}" if note else "")
        if self._replaces:
            self._write(text)
        else:
            errors.print(text)

    def described(self, read: int, sent: int, now: float) -> str:
        """Return the progress as one line."""
        first, begun = self._first or (0, 0.0)
        passed = max(now - self._started, 1e-9)
        text = f"{read:,} read, {sent:,} {self._done}, {(read - first) / passed:,.0f}/s"
        done = self._fraction()
        if done is None:
            return text
        text = f"{100 * done:.0f} %; {text}"
        if done <= begun:
            return text
        return f"{text}; {_duration(passed * (1 - done) / (done - begun))} left"

    def clear(self) -> None:
        """Remove the line from a terminal."""
        if self._replaces and self._width:
            errors.rich.file.write("\r\x1b[2K")
            errors.rich.file.flush()
            self._width = 0

    def _write(self, text: str) -> None:
        self._width = (errors.width or 80) - 1
        errors.rich.file.write("\r\x1b[2K" + text[: self._width])
        errors.rich.file.flush()


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004 - a minute
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
