"""Personal data that a visitor has asked for: shown to that visitor alone, for ten minutes.

The address of the page has a random key. It shows nothing to another visitor, of another subject,
or later: a link that is shared or saved reveals nothing.
"""

import secrets
import time
from collections import OrderedDict

LIFETIME = 600.0
"""Seconds that the data is shown."""

MAX_REVEALS = 1_024


class Reveals:
    """The reveals of one process."""

    def __init__(self) -> None:
        self._until: OrderedDict[tuple[str, str, str], float] = OrderedDict()

    def grant(self, visitor: str, subject: str) -> str:
        """Return a new key that shows a subject to a visitor."""
        key = secrets.token_urlsafe(12)
        self._until[key, visitor, subject] = time.monotonic() + LIFETIME
        while len(self._until) > MAX_REVEALS:
            self._until.popitem(last=False)
        return key

    def shows(self, key: str, visitor: str, subject: str) -> bool:
        """Return whether a key shows a subject to a visitor now."""
        return time.monotonic() < self._until.get((key, visitor, subject), 0.0)


REVEALS = Reveals()
