"""The visitors of the hosted console: the users of the stack's user pool, by their sessions.

A session is an item of the table, and a user's rights are read from the pool, so both need calls of
AWS. `HostedCallers.resolve` makes them in a thread before the console sees a request, and the
result is of this request alone: a thread that ends later changes no other one.
"""

from contextvars import ContextVar

from infra.console.hosted.sessions import LIFETIME, TableSessions
from infra.console.hosted.user_pool import User, UserPool
from infra.console.page import Visitor

COOKIE = "__Host-orderflow_console"
"""A browser takes a cookie of this prefix only by https, for this host alone and for every path
(RFC 6265bis, section 4.1.3.2)."""

_RESOLVED: ContextVar[tuple[str, Visitor] | None] = ContextVar("resolved", default=None)
"""The session of the request that is answered now, and its visitor."""


class HostedCallers:
    """The visitors of the hosted console (`infra.console.callers.Visitors`)."""

    cookie = COOKIE
    sign_in = True

    def __init__(self, sessions: TableSessions, users: UserPool) -> None:
        self._sessions = sessions
        self._users = users

    def resolve(self, session: str | None) -> Visitor | None:
        """Return who has a session, with the rights that this user has now.

        Raises
        ------
        AWSError, StoreError
            A call of AWS failed.
        """
        user = self._sessions.user(session)
        return None if user is None else Visitor(user.name, self._users.rights(user))

    def admit(self, session: str | None, visitor: Visitor | None) -> None:
        """Set the visitor of the request that is answered now."""
        _RESOLVED.set((session, visitor) if session and visitor else None)

    def visitor(self, session: str | None) -> Visitor | None:
        """Return the visitor of a session that was admitted; None signs in first."""
        found = _RESOLVED.get()
        return found[1] if found and found[0] == session else None

    def session(self, session: str | None, origin: str) -> "HostedSession":  # noqa: ARG002
        """Return the session of a request; its cookie is for https alone."""
        return HostedSession(self, session)

    def begin(self, user: User) -> str:
        """Return the id of a new session of a user."""
        return self._sessions.begin(user)

    def end(self, session: str | None) -> None:
        """End a session."""
        _RESOLVED.set(None)
        self._sessions.end(session)


class HostedSession:
    """The session of one request (`infra.console.page.Session`)."""

    def __init__(self, callers: HostedCallers, session: str | None) -> None:
        self._callers, self._session = callers, session

    def begin(self, token: str) -> str | None:  # noqa: ARG002
        """Return None: a session begins at the user pool."""
        return None

    def end(self) -> None:
        """End the session of the request."""
        self._callers.end(self._session)

    def cookie(self, session: str) -> str:
        """Return the header of a session's cookie; empty text deletes it.

        A link of another site opens the console with it (SameSite=Lax). An unsafe request of
        another site is refused by its origin.
        """
        lifetime = LIFETIME if session else 0
        return f"{COOKIE}={session}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={lifetime}"
