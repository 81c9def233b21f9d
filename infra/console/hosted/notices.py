"""Notices of the hosted console in the orders' table: another container may show the next page.

==============  ===================================================================================
attribute       content
==============  ===================================================================================
``pk``, ``sk``  ``console#notice#KEY``, ``notice``
``text``        a sentence, of at most `MAX_TEXT` characters
``tone``        good or bad
``ttl``         the end of its `LIFETIME`, in epoch seconds; each read checks it
==============  ===================================================================================

A notice reports an action that has happened. So an error of the table is a warning in the log, and
the page is shown without the notice.
"""

import logging
import re
import secrets
from collections.abc import Callable

from infra.console.notices import Notice
from kernel.errors import OrderflowError
from storage.dynamodb.table import Table, Update

LIFETIME = 600
"""Seconds after which a notice is not shown."""

MAX_TEXT = 2_000
"""Characters of a notice; a longer one is cut."""

_BYTES = 12
_FORM = re.compile(r"[A-Za-z0-9_-]{16}")
"""The form of a key: `_BYTES` random bytes in base64."""

_LOG = logging.getLogger(__name__)


class TableNotices:
    """The notices in one table, with the methods of `infra.console.notices.Notices`.

    ``taken`` is called for each notice that is shown: another container may have acted a moment
    ago, so that the values which this one keeps are from before (`StackSource.renew`).
    """

    def __init__(
        self, table: Table, now: Callable[[], float], taken: Callable[[], None] = lambda: None
    ) -> None:
        self._table = table
        self._now = now
        self._taken = taken

    def add(self, text: str, tone: str) -> str:
        """Return the key of a new notice; an empty text if the table did not take it."""
        key = secrets.token_urlsafe(_BYTES)
        update = Update(*_key(key))
        update.put(text=_shortened(text), tone=tone, ttl=int(self._now()) + LIFETIME)
        try:
            self._table.write(update)
        except OrderflowError:
            _LOG.warning("a notice was not stored: its page is shown without it", exc_info=True)
            return ""
        return key

    def take(self, key: str) -> Notice | None:
        """Return a notice, and delete it; None if there is none, or the table does not answer."""
        if not _FORM.fullmatch(key):
            return None
        try:
            item = self._table.take(*_key(key))
        except OrderflowError:
            _LOG.warning("a notice was not read: its page is shown without it", exc_info=True)
            return None
        if item is None or item["ttl"] < self._now():
            return None
        self._taken()
        return Notice(str(item["text"]), str(item["tone"]))


def _shortened(text: str) -> str:
    """Return a text of at most `MAX_TEXT` characters that UTF-8 can encode."""
    cut = text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 2]} …"
    return cut.encode(errors="replace").decode()


def _key(key: str) -> tuple[str, str]:
    return f"console#notice#{key}", "notice"
