"""Idempotency keys of HTTP requests: a retry with the same key is the same order.

A key belongs to its sender: two senders may use the same text. It is stored as long as its order.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple, Protocol

MAX_LENGTH = 255
"""Maximum number of characters of a key."""


class Key(NamedTuple):
    """A sender's key of one request; ``fingerprint`` is the digest of the request's body.

    ``sender`` is the subject of the access token; it is empty for the local user, who has none.
    """

    sender: str
    text: str
    fingerprint: str


class Use(NamedTuple):
    """The use of a key: the order that it placed, and the digest of the request's body."""

    order_id: str
    fingerprint: str


class Keys(Protocol):
    """The store of the keys."""

    def use_of(self, key: Key) -> Use | None:
        """Return the use of a key, or `None` if it was not used."""

    def keep(self, key: Key, order_id: str, at: float) -> None:
        """Write the key of an existing order, or raise `VersionConflict` if the key was used."""


def fingerprint(body: Mapping[str, Any]) -> str:
    """Return the digest of a body as it was sent, regardless of the order of its fields.

    The idempotency key in the metadata identifies the request and is not part of its content.
    """
    content = dict(body)
    metadata = content.get("metadata")
    if isinstance(metadata, dict) and "idempotency_key" in metadata:
        content["metadata"] = {
            name: value for name, value in metadata.items() if name != "idempotency_key"
        }
        if not content["metadata"]:
            del content["metadata"]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()
