"""The types of a page: its input, its content, and its permissions.

A page is a module of `infra.console.pages` with a `Page`. Its readers run in a thread with a
read-only connection and a deadline; its actions run in the event loop and change something only
through an operation of the engine. ``README.md`` has an example.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Protocol, TypeVar
from urllib.parse import quote, urlencode

from infra.console.notices import NoticeStore
from infra.errors import Refusal
from infra.local.directory.data_directory import DataDirectory
from infra.local.template.stack import Stack
from infra.views.health import Workers

T = TypeVar("T")

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


class Feature(StrEnum):
    """The things that one home of the console has and another may lack."""

    DIRECTORY = "directory"
    JOURNAL = "journal"
    STATES = "states"
    MAIL = "mail"
    GATEWAY = "gateway"
    REVEAL = "reveal"
    JOBS = "jobs"
    LIST = "list"
    SEARCH = "search"
    FORECAST = "forecast"
    PACE = "pace"
    ACTIVITY = "activity"


class Source(Protocol):
    """The platform that the console shows: that of a data directory, or a deployed stack.

    ``missing`` has a sentence for each `Feature` that it lacks. ``name`` is empty for a data
    directory; ``options`` are those that name the platform in a command, ``account_options`` those
    that name its account, for a command without ``--stack``.
    """

    @property
    def directory(self) -> DataDirectory:
        """The data directory; a source without one raises `Absent`."""

    @property
    def stack(self) -> Stack:
        """The resources of the template."""

    @property
    def operate(self) -> Operate:
        """The function that changes something."""

    @property
    def now(self) -> Callable[[], float]:
        """The clock, in epoch seconds."""

    @property
    def workers(self) -> Callable[[], Workers | None]:
        """The function that returns the state of the server's workers."""

    @property
    def missing(self) -> Mapping[Feature, str]:
        """The features that the platform lacks, each with a sentence that says so."""

    @property
    def name(self) -> str:
        """The name of a stack."""

    @property
    def options(self) -> str:
        """The options of a command for the same platform, after a space."""

    @property
    def account_options(self) -> str:
        """The options of a command for the account of the platform, after a space."""


@dataclass(frozen=True, slots=True)
class DirectorySource:
    """The platform of a data directory, which has every feature."""

    directory: DataDirectory
    stack: Stack
    operate: Operate
    now: Callable[[], float]
    workers: Callable[[], Workers | None]
    missing: Mapping[Feature, str] = field(default_factory=dict)
    name: str = ""
    options: str = ""
    account_options: str = ""


class Absent(Refusal):
    """A page or an action needs a feature that its platform lacks."""


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
    cookies: Mapping[str, str]

    def filter(self, name: str) -> str:
        """Return a filter of the query, without white space around it; empty if it is absent."""
        return self.query.get(name, "").strip()


@dataclass(frozen=True, slots=True)
class View:
    """A page to show: a template and its names; the block ``live`` of it is updated.

    ``is_current`` is False for a page that is not updated by itself.
    """

    template: str
    title: str
    names: Mapping[str, Any] = field(default_factory=dict)
    status: int = HTTPStatus.OK
    is_current: bool = True
    cookies: tuple[str, ...] = ()


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


class TooLarge(Refusal):
    """An answer is larger than this home of the console sends; the message has the way out."""


Read = Callable[[Visit, Any], View | Download | Document | Redirect]
"""A reader: it gets a connection to the data directory's database or, of a stack, its source."""

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
        By path after `PREFIX`, such as ``/dead-letters/{id}``. A parameter has no slash, unless
        its name is followed by ``:path``; a path that ends in such a one is tried last.
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


def order_path(order_id: str) -> str:
    """Return the path of an order's page."""
    return f"/orders/{quote(order_id, safe='')}"


class Reading(Protocol):
    """The threads in which pages are read."""

    async def read(self, query: Callable[[Any], T]) -> T:
        """Run a reader's function in a thread, with the place that it reads."""

    def close(self) -> None:
        """Free the opened resources."""


class FailureLog(Protocol):
    """The log of pages that failed."""

    def log_exception(self, request_id: str, what: str, error: BaseException) -> None:
        """Log an exception with its traceback."""


@dataclass(frozen=True, slots=True)
class Home:
    """The parts of the console that differ by its place.

    ``poll`` are the seconds after which a page is read again; 0: it has a stream of changes.
    Without ``notices`` they are in the memory of the process.
    """

    pages: Sequence[Page]
    readers: Reading
    poll: int = 0
    notices: NoticeStore | None = None
