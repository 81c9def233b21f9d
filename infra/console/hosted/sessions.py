"""Sessions of the hosted console in the orders' table: each container of the function reads them.

==============  ===================================================================================
attribute       content
==============  ===================================================================================
``pk``, ``sk``  ``console#session#SHA-256``, ``session``: the table has no id that a browser sends
``user``        the name of the person who signed in
``id``          the id of this person in the user pool: another may have the name later
``expires``     the end of the session, in epoch seconds; each read checks it
``ttl``         when DynamoDB may delete it, at times days later (DynamoDB, time to live)
==============  ===================================================================================
"""

import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from threading import Lock

from infra.console.hosted.user_pool import User
from storage.dynamodb.table import Item, Table, Update

LIFETIME = 12 * 3600
"""Seconds after which a person signs in again."""

KEPT = 60.0
"""Seconds for which a container keeps a read: the end of a session elsewhere takes effect then."""

MAX_KEPT = 256
"""Sessions that a container keeps."""

_BYTES = 32
_FORM = re.compile(r"[A-Za-z0-9_-]{43}")
"""The form of a session's id: `_BYTES` random bytes in base64."""


class TableSessions:
    """The sessions in one table; any thread may use it.

    Each method raises `StoreError` if DynamoDB refuses a call or does not answer.
    """

    def __init__(self, table: Table, now: Callable[[], float]) -> None:
        self._table = table
        self._now = now
        self._kept: OrderedDict[str, tuple[User, float, float]] = OrderedDict()
        self._lock = Lock()

    def begin(self, user: User) -> str:
        """Return the id of a new session of a person."""
        session, expires = secrets.token_urlsafe(_BYTES), self._now() + LIFETIME
        update = Update(*_key(_digest(session)))
        update.put(user=user.name, id=user.id, expires=expires, ttl=int(expires) + 1)
        self._table.write(update)
        return session

    def user(self, session: str | None) -> User | None:
        """Return the person of a session; None if it is unknown, has ended or has expired."""
        if session is None or not _FORM.fullmatch(session):
            return None
        digest, now = _digest(session), self._now()
        kept = self._kept.get(digest)
        if kept is None or not 0 <= now - kept[2] < KEPT:
            found = _read(self._table.get(*_key(digest)))
            kept = None if found is None else (*found, now)
            self._keep(digest, kept)
        if kept is None or now >= kept[1]:
            return None
        return kept[0]

    def end(self, session: str | None) -> None:
        """End a session: in this container at once, in others when their read is `KEPT` old."""
        if session is not None and _FORM.fullmatch(session):
            digest = _digest(session)
            self._keep(digest, None)
            self._table.delete(*_key(digest))

    def _keep(self, digest: str, read: tuple[User, float, float] | None) -> None:
        with self._lock:
            self._kept.pop(digest, None)
            if read is not None:
                self._kept[digest] = read
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)


def _read(item: Item | None) -> tuple[User, float] | None:
    """Return the person and the end of a session; None if the item has another form."""
    name, number, expires = ((item or {}).get(each) for each in ("user", "id", "expires"))
    if isinstance(name, str) and isinstance(number, str) and isinstance(expires, int | float):
        return User(name, number), expires
    return None


def _key(digest: str) -> tuple[str, str]:
    return f"console#session#{digest}", "session"


def _digest(session: str) -> str:
    return sha256(session.encode()).hexdigest()
