"""The contract over HTTP: the files of ``events_schema/``, for every client of the port.

=========================  ========================================================================
``/openapi.json``          the HTTP API (OpenAPI 3.1)
``/asyncapi.json``         every event (AsyncAPI 3.0)
``/schemas``               a list of the events, with version and paths
``/schemas/EVENT.json``    JSON Schema of an event, such as ``order-created``; ``.draft4.json`` is
                           the form of EventBridge's registry
``/docs/``                 the page of all contracts, with examples and changelogs
=========================  ========================================================================

A response has an ETag, the digest of its content, so a client that knows the version gets 304
(RFC 9110, section 13). No token is needed: the contract has nothing of any order. Only the files
that were found at the first request are served, so a path can name no other.
"""

import base64
import json
import re
from functools import cached_property
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

from infra.contracts.folder import (
    ASYNCAPI,
    BASELINE,
    FOLDER,
    INDEX,
    OPENAPI,
    REGISTRY_SCHEMA,
    SCHEMA,
    slug,
)
from infra.server.reply import Reply, problem_document
from infra.server.request import Request
from kernel.events import CONTRACTS

DOCS, SCHEMAS = "/docs/", "/schemas"
METHODS = ("GET", "HEAD")

_TYPES = {
    ".json": "application/json",
    ".html": "text/html; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
}
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


class Page(NamedTuple):
    """A file to serve, with the headers of its response."""

    body: bytes
    headers: dict[str, str]


class ContractPages:
    """The contract's pages, read from a folder at the first request."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder

    def answers(self, request: Request) -> bool:
        """Return whether a request is for the contract."""
        path = request.path
        is_known = path in (f"/{OPENAPI}", f"/{ASYNCAPI}", SCHEMAS, DOCS.rstrip("/"))
        return is_known or path.startswith((DOCS, f"{SCHEMAS}/"))

    def reply(self, request: Request) -> Reply:
        """Return the response to a request for the contract."""
        if request.method not in METHODS:
            allowed = ", ".join(METHODS)
            detail = f"{request.path} takes {allowed}"
            return problem_document(HTTPStatus.METHOD_NOT_ALLOWED, detail, allow=allowed)
        if request.path == DOCS.rstrip("/"):
            return Reply(HTTPStatus.PERMANENT_REDIRECT, (("location", DOCS),))
        page = self._pages.get(request.path.removesuffix("/") or "/")
        if page is None:
            detail = f"{request.path[:200]} is not part of the contract; see {DOCS} and {SCHEMAS}"
            return problem_document(HTTPStatus.NOT_FOUND, detail)
        headers = tuple(page.headers.items())
        if _is_known(page.headers["etag"], request.headers.get("if-none-match", "")):
            return Reply(HTTPStatus.NOT_MODIFIED, headers)
        return Reply(HTTPStatus.OK, headers, page.body)

    @cached_property
    def _pages(self) -> dict[str, Page]:
        """The pages by their path."""
        files = {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.suffix in _TYPES and path.name != BASELINE and path.is_file()
        }
        pages = {DOCS + name: _page(name, body) for name, body in files.items()}
        for name in (OPENAPI, ASYNCAPI):
            if name in files:
                pages[f"/{name}"] = _page(name, files[name])
        if INDEX in files:
            pages[DOCS.rstrip("/")] = _page(INDEX, files[INDEX])
        listed = []
        for event, contract in CONTRACTS.items():
            listed.append(_listed(event, contract.version))
            for kind, ending in ((SCHEMA, ""), (REGISTRY_SCHEMA, ".draft4")):
                body = files.get(f"{slug(event)}/{kind}")
                if body is not None:
                    pages[f"{SCHEMAS}/{slug(event)}{ending}.json"] = _page(kind, body)
        index = json.dumps({"events": listed}, indent=2).encode() + b"\n"
        pages[SCHEMAS] = _page("schemas.json", index)
        return pages


def _listed(event: str, version: str) -> dict[str, str]:
    path = f"{SCHEMAS}/{slug(event)}"
    return {
        "name": event,
        "version": version,
        "schema": f"{path}.json",
        "registry_schema": f"{path}.draft4.json",
        "docs": f"{DOCS}#{slug(event)}",
    }


def _page(name: str, body: bytes) -> Page:
    """Return a file with its headers; a client asks again at each use, and gets 304."""
    headers = {
        "content-type": _TYPES[Path(name).suffix],
        "etag": f'"{sha256(body).hexdigest()[:32]}"',
        "cache-control": "no-cache",
    }
    if name == INDEX:
        headers["content-security-policy"] = _policy(body.decode())
    return Page(body, headers)


def _policy(html: str) -> str:
    """Return the policy that allows the page's own script and style, and nothing else."""
    allowed: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(html):
        digest = base64.b64encode(sha256(text.encode()).digest()).decode()
        allowed[kind].append(f"'sha256-{digest}'")
    own = "; ".join(f"{kind}-src {' '.join(hashes)}" for kind, hashes in allowed.items() if hashes)
    return f"default-src 'none'; {own}; base-uri 'none'; frame-ancestors 'none'"


def _is_known(etag: str, condition: str) -> bool:
    """Return whether ``If-None-Match`` has the tag; a weak one is the same version."""
    tags = {tag.strip().removeprefix("W/") for tag in condition.split(",")}
    return etag in tags or "*" in tags
