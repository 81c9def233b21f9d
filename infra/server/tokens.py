"""Bearer tokens of the callers of a server that other hosts can reach.

A file has one token a line; only its owner may have access to it::

    # token                                     subject  scopes and claims
    3bVb0b0oZl0Zr1lXbYt0Xn8yJwS5sYx2d0hJm8rQ9fE  ada   orders/read orders/write customer_id=C-42
    pT8m1Qv6cW0yLr4uXe9zKf2hNs7bGd5jAo3iRt1wUq0  shop  orders/read orders/write orders/operate

The claim in the template's parameter ``CustomerClaim`` binds a caller to one customer's orders.
Tokens are compared by digest and in constant time, so the response time reveals nothing about them.
A changed file is read at the next start.
"""

import hmac
import re
import secrets
import stat
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from infra.errors import Refusal

OPERATE = "orders/operate"
"""The scope of AWS's operations (put any event, replay, redrive) and of every customer's orders."""

LOOK = "console/read"
"""The scope of the console's pages, of every customer's orders, without their actions."""

SCOPES = frozenset({"orders/read", "orders/write", OPERATE, LOOK})

MIN_LENGTH = 32
"""Minimum characters of a token, against guessing; `secrets.token_urlsafe` makes 43."""

_TOKEN = re.compile(rf"[A-Za-z0-9._~+/-]{{{MIN_LENGTH},512}}=*")
"""A bearer token (RFC 6750, section 2.1)."""

_RESERVED = frozenset({"sub", "scope", "scp"})
"""Names of claims that the subject and the scopes have."""

_HOW_TO_MAKE = "python -c 'import secrets; print(secrets.token_urlsafe(32))'"


class InvalidTokens(Refusal):
    """The file of tokens cannot be used; the message has the line and the remedy."""


class Caller(NamedTuple):
    """The holder of a token; ``claims`` are pairs of a name and its value."""

    subject: str
    scopes: frozenset[str]
    claims: tuple[tuple[str, str], ...] = ()


LOCAL_USER = Caller("", SCOPES)
"""The caller of a server without tokens: an operator without a subject."""


class Tokens:
    """The tokens of one server, and a generated one for local commands."""

    def __init__(self, callers: Mapping[str, Caller]) -> None:
        self.local = secrets.token_urlsafe(32)
        known = {**callers, self.local: Caller("local", SCOPES)}
        self._callers = {_digest(token): caller for token, caller in known.items()}

    def find(self, token: str) -> Caller | None:
        """Return the holder of a token, or None."""
        digest, holder = _digest(token), None
        for known, caller in self._callers.items():
            if hmac.compare_digest(known, digest):
                holder = caller
        return holder


def read_tokens(path: Path) -> Tokens:
    """Return the tokens in a file.

    Raises
    ------
    InvalidTokens
        The file cannot be read, is open to other users, or has a malformed line.
    """
    try:
        mode = path.stat().st_mode
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise InvalidTokens(f"--token-file {path} cannot be read: {reason}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InvalidTokens(f"--token-file {path} is open to others; run `chmod 600 {path}`")
    callers: dict[str, Caller] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        problem = _problem(words, callers)
        if problem:
            raise InvalidTokens(f"{path}:{number}: {problem}")
        callers[words[0]] = _caller(words[1], words[2:])
    if not callers:
        raise InvalidTokens(f"--token-file {path} has no token; a line is: TOKEN SUBJECT SCOPE …")
    return Tokens(callers)


def _caller(subject: str, words: list[str]) -> Caller:
    claims = [word.partition("=") for word in words if "=" in word]
    scopes = frozenset(word for word in words if "=" not in word)
    return Caller(subject, scopes, tuple((name, value) for name, _, value in claims))


def _problem(words: list[str], known: Mapping[str, Caller]) -> str | None:
    """Return the problem with a line, or None; the token itself is never shown."""
    token, *rest = words
    if _TOKEN.fullmatch(token) is None:
        return (
            f"the token is not {MIN_LENGTH} or more letters, digits and -._~+/: make one with"
            f" {_HOW_TO_MAKE}"
        )
    if token in known:
        return "the token is on an earlier line too; each caller needs its own"
    caller = _caller(rest[0], rest[1:]) if rest else None
    if caller is None or not caller.scopes:
        return f"has no subject or no scope; a line is: TOKEN SUBJECT SCOPE …, of {_scopes()}"
    unknown = sorted(caller.scopes - SCOPES)
    if unknown:
        return f"the scope {unknown[0]!r} is none of {_scopes()}"
    for name, value in caller.claims:
        if name in _RESERVED or not name or not value:
            return f"the claim {name}={value} has no name, no value or a reserved name"
    return None


def _scopes() -> str:
    return ", ".join(sorted(SCOPES))


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
