"""The console's headers: nothing is loaded from, sent to, or framed by others.

Sources: Fetch Metadata Request Headers, section 2; Content Security Policy Level 3.
"""

import re
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content Security Policy of every page: no inline script or style, nothing from elsewhere."""

_DOCUMENT = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
)
"""The policy of a document of others in a frame: it runs, loads and sends nothing."""

_SAFE: Mapping[str, str] = {
    "cache-control": "no-store",
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}

_STATIC = "public, max-age=31536000, immutable"
"""Files of ``static/``: their address changes with their content."""


def is_part_of_another_site(headers: Headers) -> bool:
    """Return whether a page of another site loads this as an image, a frame, a script or a stream.

    The page could not read the answer. It could occupy every reader, stream and query. A link is no
    such part, and a program sends none of these headers.
    """
    if headers.get("sec-fetch-site") not in ("cross-site", "same-site"):
        return False
    return (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) != _LINK


_LINK = ("navigate", "document")


def adding(send: Send) -> Send:
    """Return a function that adds the headers to a response and sends it."""

    async def send_safely(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            is_file = "etag" in headers and "last-modified" in headers
            for name, value in _SAFE.items():
                headers.setdefault(name, value)
            if is_file:
                headers["cache-control"] = _STATIC
        await send(message)

    return send_safely


def of_document() -> dict[str, str]:
    """Return the headers of a document of others."""
    return {"content-security-policy": _DOCUMENT, "x-frame-options": "SAMEORIGIN"}


def file_name(text: str) -> str:
    """Return a name without characters that a header or a file system reads as others."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "download"
