"""Idempotency: the ids and digests by which a repetition is recognised as one.

Each id is derived from its subject, so a retry derives the same one:

==============================  ===========================  ======================================
repetition                      recognised by                decision in
==============================  ===========================  ======================================
an event, delivered again       the order's record, and its  `orders.model.claim` (DuplicateOrder,
                                `content_hash`               OrderConflict)
an update or cancellation       its event id                 `orders.model`, the record's fields
an event, published again       `published_event_id`         the reader of the event
an HTTP request, sent again     ``Idempotency-Key``          `orders.idempotent_placement`
a charge or a refund            `charge_id`                  the gateway (`payments.gateway`)
a shipment                      `shipment_id`                the carrier (`shipping.carrier`)
a confirmation                  `confirmation_id`            the mark (`notifications.store`)
a stock receipt                 `inventory.model.Receipt`    the receipts (`inventory.store`)
==============================  ===========================  ======================================
"""

import json
from functools import lru_cache
from hashlib import sha1, sha256
from uuid import UUID, uuid5

NAMESPACE = UUID("6f2d1a52-3c0f-5b7e-9c62-0a4d0f5e7b11")
"""Namespace of the UUIDv5 ids of events, mails and HTTP orders."""

_CHARGES = UUID("d0a7a1f5-1f0e-5a53-8f6c-5b0f5f2c9e44")
_SHIPMENTS = UUID("0b1a3f64-9a0d-52f1-9a44-8f1d5c5d0b77")

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def canonical(content: object) -> str:
    """Return the JSON text that all equal values have: keys sorted, no blanks, ASCII only."""
    return _ENCODER.encode(content)


def content_hash(content: object) -> str:
    """Return the SHA-256 digest of a value's canonical JSON text, in hexadecimal."""
    return sha256(_ENCODER.encode(content).encode()).hexdigest()


def uuid_of(name: str, namespace: UUID = NAMESPACE) -> str:
    """Return the UUIDv5 of a name, as text.

    `uuid.uuid5` makes the same id in more than twice the time (RFC 9562, section 5.5).
    """
    text = sha1(namespace.bytes + name.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"


def published_event_id(order_id: str, name: str, version: int | str) -> str:
    """Return the id of an event that the platform publishes: the same each time it does.

    ``version`` is the order's version, or the id of the request that the event answers.
    """
    return uuid_of(f"{order_id}|{name}|{version}")


def confirmation_id(order_id: str) -> str:
    """Return the id of an order's only confirmation."""
    return uuid_of(f"{order_id}|confirmation")


def approval_mail_id(order_id: str) -> str:
    """Return the id of the only mail that asks the reviewer about an order."""
    return uuid_of(f"{order_id}|approval mail")


def approval_mail_name(order_id: str) -> str:
    """Return the name of that mail at the mail server; an order's id names its confirmation."""
    return f"{order_id}#approval"


@lru_cache(1024)
def charge_id(order_id: str) -> str:
    """Return the id of an order's only charge: its idempotency key at the gateway."""
    return uuid_of(f"{order_id}|charge", _CHARGES)


def shipment_id(order_id: str) -> str:
    """Return the id of an order's only shipment: its idempotency key at the carrier."""
    return uuid_of(f"{order_id}|shipment", _SHIPMENTS)


def order_id_of_key(sender: str, key: str) -> UUID:
    """Return the id of the order that an idempotency key places, if the request names none.

    ``sender`` is the subject of the token; it is empty for the local user, who has none.
    """
    prefix = f"sender|{len(sender)}|{sender}" if sender else "key"
    return uuid5(NAMESPACE, f"{prefix}|{key}")
