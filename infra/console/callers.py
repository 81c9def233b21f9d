"""The visitors of the console, and their permissions.

Without tokens the port is the loopback's: every visitor is the local user, who may act, as any
local program may through the same port. With ``--token-file`` a person signs in with a token; the
browser keeps the random id of a session, never the token.

==================  ===============================================================================
scope of the token  capability
==================  ===============================================================================
``console/read``    every page, no action
``orders/operate``  every page and every action
==================  ===============================================================================
"""

import secrets
import time
from collections import OrderedDict
from collections.abc import Iterable
from getpass import getuser
from hashlib import sha256
from typing import Protocol

from infra.console.page import PREFIX, Capability, Session, Visitor
from infra.server.tokens import LOOK, OPERATE, Tokens

COOKIE = "orderflow_console"

LIFETIME = 12 * 3600
"""Seconds after which a person signs in again."""

MAX_SESSIONS = 256

_CAPABILITIES = {
    LOOK: frozenset({Capability.READ}),
    OPERATE: frozenset({Capability.READ, Capability.OPERATE}),
}


class Visitors(Protocol):
    """The visitors of one home of the console."""

    @property
    def cookie(self) -> str:
        """The name of the cookie that has a session."""

    @property
    def sign_in(self) -> bool:
        """Whether visitors sign in."""

    def visitor(self, session: str | None) -> Visitor | None:
        """Return the visitor of a session; None signs in first."""

    def session(self, session: str | None, origin: str) -> Session:
        """Return the session of a request; ``origin`` is its header of that name."""


class Callers:
    """The visitors of one server.

    ``cookie`` is the name of its cookie: a browser sends a cookie to every port of a host.
    """

    def __init__(self, tokens: Tokens | None, cookie: str = COOKIE) -> None:
        self._tokens = tokens
        self.cookie = cookie
        self._sessions: OrderedDict[bytes, tuple[Visitor, float]] = OrderedDict()

    @property
    def sign_in(self) -> bool:
        """Whether visitors sign in."""
        return self._tokens is not None

    def visitor(self, session: str | None) -> Visitor | None:
        """Return the visitor of a session; None signs in first."""
        if self._tokens is None:
            return Visitor(_user(), frozenset(Capability))
        visitor, until = self._sessions.get(_digest(session or ""), (None, 0.0))
        return visitor if time.monotonic() < until else None

    def begin(self, token: str) -> str | None:
        """Return a new session for a token; None if it is unknown or lacks both scopes."""
        caller = self._tokens.find(token) if self._tokens is not None else None
        capabilities = capabilities_of(caller.scopes) if caller is not None else frozenset()
        if caller is None or not capabilities:
            return None
        session = secrets.token_urlsafe(32)
        until = time.monotonic() + LIFETIME
        self._sessions[_digest(session)] = (Visitor(caller.subject, capabilities), until)
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return session

    def end(self, session: str | None) -> None:
        """End a session."""
        self._sessions.pop(_digest(session or ""), None)

    def session(self, session: str | None, origin: str) -> "BrowserSession":
        """Return the session of a request; ``origin`` is its header of that name."""
        return BrowserSession(self, session, origin)


class BrowserSession:
    """The session of one request (`infra.console.page.Session`).

    ``origin`` is the header of that name: behind a proxy for https the cookie is for https alone.
    """

    def __init__(self, callers: Callers, session: str | None, origin: str) -> None:
        self._callers, self._session = callers, session
        self._is_secure = origin.startswith("https://")

    def begin(self, token: str) -> str | None:
        """Return a new session for a token; None if the token allows nothing."""
        return self._callers.begin(token)

    def end(self) -> None:
        """End the session of the request."""
        self._callers.end(self._session)

    def cookie(self, session: str) -> str:
        """Return the header of a session's cookie: no script reads it, no other site sends it."""
        lifetime = LIFETIME if session else 0
        attributes = f"Path={PREFIX}; HttpOnly; SameSite=Strict; Max-Age={lifetime}"
        name = self._callers.cookie
        return f"{name}={session}; {attributes}{'; Secure' if self._is_secure else ''}"


def capabilities_of(scopes: Iterable[str]) -> frozenset[Capability]:
    """Return the capabilities of scopes; another scope has none."""
    return frozenset[Capability]().union(*(_CAPABILITIES.get(each, ()) for each in scopes))


def _digest(session: str) -> bytes:
    return sha256(session.encode()).digest()


def _user() -> str:
    try:
        return getuser()
    except (KeyError, OSError):  # the user id has no name
        return "console"
