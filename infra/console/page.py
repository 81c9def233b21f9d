"""The types of a page: its input, its content, and its permissions.

A page is a module of `infra.console.pages` with a `Page`. Its readers run in a thread with a
read-only connection and a deadline; its actions run in the event loop and change something only
through an operation of the engine. ``README.md`` has an example.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import urlencode

from infra.errors import Refusal
from infra.local.directory.data_directory import DataDirectory
from infra.local.template.stack import Stack
from infra.views.health import Workers
from storage.sqlite.database import Database

PREFIX = "/console"
"""The path of the console; a page's own paths follow it."""


class Capability(StrEnum):
    """The rights of a caller: `READ` shows every page, `OPERATE` allows its actions."""

    READ = "read"
    OPERATE = "operate"


@dataclass(frozen=True, slots=True)
class Visitor:
    """The person at the browser; ``name`` is recorded with each action."""

    name: str
    capabilities: frozenset[Capability]

    @property
    def may_operate(self) -> bool:
        """Whether the visitor may act."""
        return Capability.OPERATE in self.capabilities


Operate = Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Run an operation of the port, such as ``Orderflow.CancelOrder``; raises `InvalidRequest`."""


@dataclass(frozen=True, slots=True)
class Source:
    """The platform that the console shows."""

    directory: DataDirectory
    stack: Stack
    operate: Operate
    now: Callable[[], float]
    workers: Callable[[], Workers | None]


class Session(Protocol):
    """The signing in and out of the browser that sent a request."""

    def begin(self, token: str) -> str | None:
        """Return a new session for a token; None if the token allows nothing."""

    def end(self) -> None:
        """End the session of the request."""

    def cookie(self, session: str) -> str:
        """Return the header that makes the browser keep a session; empty text deletes it."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a page; ``path`` are the parameters of the path, ``query`` its filters."""

    source: Source
    visitor: Visitor
    path: Mapping[str, str]
    query: Mapping[str, str]
    now: float
    session: Session

    def filter(self, name: str) -> str:
        """Return a filter of the query, without white space around it; empty if it is absent."""
        return self.query.get(name, "").strip()


@dataclass(frozen=True, slots=True)
class View:
    """A page to show: a template and its names; the block ``live`` of it is updated."""

    template: str
    title: str
    names: Mapping[str, Any] = field(default_factory=dict)
    status: int = HTTPStatus.OK


@dataclass(frozen=True, slots=True)
class Download:
    """A file to save."""

    name: str
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Document:
    """A document of others, such as a mail, for a frame with ``sandbox`` and a policy of its own.

    It is HTML or SVG that may load nothing and run nothing.
    """

    body: str
    content_type: str = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Redirect:
    """Another page to go to; ``notice`` is shown there once, in the ``tone`` good or bad."""

    to: str
    notice: str = ""
    tone: str = "good"
    cookies: tuple[str, ...] = ()


class BadFilter(Refusal):
    """A filter or a field has a value that cannot be used; the message has the way out."""


Read = Callable[[Visit, Database], View | Download | Document | Redirect]
Wait = Callable[[Visit], Awaitable[View | Download | Document | Redirect]]
Act = Callable[[Visit, Mapping[str, str]], Awaitable[View | Redirect]]


@dataclass(frozen=True, slots=True)
class Page:
    """A page and its paths.

    Parameters
    ----------
    name : str
        Also the name of its folder of templates.
    title : str
        Its name in the navigation; empty for a page that is not there.
    gets, posts : Mapping[str, Read], Mapping[str, Act]
        By path after `PREFIX`, such as ``/orders/{order_id}``. A parameter has no slash, unless
        its name is followed by ``:path``.
    waits : Mapping[str, Wait]
        Pages that wait for another process; they run in the event loop, without a connection.
    key : str
        The letter that opens it after ``g``.
    icon : str
        The name of its icon in ``static/icons.svg``.
    open_to_all : bool
        Whether it needs no capability, as signing in does.
    within : str
        The name of the page of the navigation that it belongs to.
    """

    name: str
    title: str
    gets: Mapping[str, Read] = field(default_factory=dict)
    posts: Mapping[str, Act] = field(default_factory=dict)
    waits: Mapping[str, Wait] = field(default_factory=dict)
    key: str = ""
    icon: str = ""
    open_to_all: bool = False
    within: str = ""

    @property
    def href(self) -> str:
        """The address of its first page."""
        return PREFIX + next(iter(self.gets), "/")


def link(path: str, /, **query: object) -> str:
    """Return the address of a page with filters; empty ones are left out."""
    kept = {name: str(value) for name, value in query.items() if value not in ("", None)}
    return f"{PREFIX}{path}{'?' if kept else ''}{urlencode(kept)}"
