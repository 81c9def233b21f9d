"""Idempotency keys: a sender's own names of requests, so that a retry is the same order.

A key belongs to its sender: two senders may use the same text. It is kept as long as its order.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple, Protocol

LONGEST = 255
"""Characters of a key."""


class Key(NamedTuple):
    """A sender's key of one request; ``fingerprint`` is the digest of the body that it came with.

    ``sender`` is the subject of the token; the local user, who has none, is the empty text.
    """

    sender: str
    text: str
    fingerprint: str


class Use(NamedTuple):
    """The order that a key placed, and the digest of its body."""

    order_id: str
    fingerprint: str


class Keys(Protocol):
    """The store of the keys."""

    def use_of(self, key: Key) -> Use | None:
        """Return what a sender has used a key for, if anything."""

    def keep(self, key: Key, order_id: str, at: float) -> None:
        """Write the key of an order that is there already, or raise `VersionConflict`."""


def fingerprint(body: Mapping[str, Any]) -> str:
    """Return the digest of a body as it was sent, whatever the order of its names.

    The key in the metadata says which request it is, and is no part of what is asked for.
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
