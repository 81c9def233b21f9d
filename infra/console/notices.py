"""The results of actions, each shown once on the page after it; the address has only a number."""

import secrets
from collections import OrderedDict
from typing import NamedTuple, Protocol

MAX_NOTICES = 256


class Notice(NamedTuple):
    """A sentence, in the tone good or bad."""

    text: str
    tone: str


class NoticeStore(Protocol):
    """The notices of one console, for as long as a redirect takes. Neither method raises."""

    def add(self, text: str, tone: str) -> str:
        """Return the key of a new notice; an empty text if it could not be stored."""

    def take(self, key: str) -> Notice | None:
        """Return a notice, and forget it."""


class Notices:
    """The notices of one server."""

    def __init__(self) -> None:
        self._notices: OrderedDict[str, Notice] = OrderedDict()

    def add(self, text: str, tone: str) -> str:
        """Return the key of a notice."""
        key = secrets.token_urlsafe(6)
        self._notices[key] = Notice(text, tone)
        while len(self._notices) > MAX_NOTICES:
            self._notices.popitem(last=False)
        return key

    def take(self, key: str) -> Notice | None:
        """Return a notice, and forget it."""
        return self._notices.pop(key, None)
