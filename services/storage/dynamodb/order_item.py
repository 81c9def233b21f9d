"""The encoding of an order as one DynamoDB item.

Every step of an order writes its item, and DynamoDB bills names and values together by the
kilobyte. So attribute names are short, ids are binary, and defaults are not stored.

==============  ===================================================================================
attribute       content
==============  ===================================================================================
``pk``, ``sk``  ``order#ID``, ``order``
`ATTRIBUTES`    the record
``tl``          its timeline: a list of ``[what, at, epoch, detail]``
``more``        the number of entries that a full timeline did not take
``out``         its outbox: messages by id, each ``[kind, body as JSON, at]``
``new``         ids of the messages that the last write added: the stream is filtered by it
``shd``         the shards that have its reserved units, by SKU, if a SKU is split
``early``       requests that arrived before the order, by their id, in an item without a record:
                each ``[event id, name, detail as JSON, came at, heard]``
``gpk, gsk``    the index of a customer's orders: the customer and the time. Earlier versions wrote
                ``open#N`` and the customer until the order was closed, and the id after the time
``dp, due``     the index of open items, until they are closed (the order has ended, and its outbox
                is empty): a partition, and the second from which the reconciler looks at the item
==============  ===================================================================================
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID
from zlib import crc32

from kernel.errors import StoreError
from kernel.order_record import MAX_TEXT, Entry, Line, Message, OrderRecord
from kernel.order_status import Approval, ChargeStatus, Reservation, ShipmentStatus, Status

ORDER, OPEN, EARLY, MAIL = "order", "open", "early", "mail"
SHARDS = 8
"""Partitions of the index of due items: each takes 1,000 writes a second (Partition limits)."""

MAX_ENTRIES, MAX_NOTED = 200, 100
"""Maximum entries of a timeline, and the number at which it takes no more notes."""

_SHORT = {
    "customer_id": "cust",
    "currency": "cur",
    "total": "tot",
    "placed_at": "plac",
    "content_hash": "hash",
    "event_id": "evt",
    "correlation_id": "corr",
    "created_at": "crea",
    "updated_at": "upd",
    "status": "st",
    "epoch": "ep",
    "version": "v",
    "lease_owner": "own",
    "lease_until": "till",
    "attempts": "att",
    "resume_at": "res",
    "cancel_requested": "canc",
    "cancel_reason": "cwhy",
    "cancel_event_id": "cevt",
    "shipping_address": "addr",
    "shipping_address_as_of": "adas",
    "email": "mail",
    "email_as_of": "maas",
    "payment_token": "tok",
    "reservation": "rsv",
    "charge": "chg",
    "charge_id": "chid",
    "shipment": "shp",
    "shipment_id": "shid",
    "tracking_number": "trk",
    "failure": "fail",
    "failure_message": "fmsg",
    "approval": "appr",
    "approval_token": "aptk",
    "approve_by": "apby",
}
ATTRIBUTES = {name: _SHORT.get(name, name) for name in OrderRecord._fields if name != "order_id"}
"""The attribute of each field of a record; ``order_id`` is in the key."""

_AMENDED = "amd"
_DEFAULTS = OrderRecord._field_defaults
_REQUIRED = tuple(name for name in OrderRecord._fields if name not in _DEFAULTS)
_IDS = frozenset(
    {
        "content_hash",
        "event_id",
        "correlation_id",
        "cancel_event_id",
        "charge_id",
        "shipment_id",
        "lease_owner",
    }
)
_TIMES = frozenset({"created_at", "updated_at", "lease_until", "resume_at", "approve_by"})
_ENUMS: Mapping[str, Any] = {
    "status": Status,
    "reservation": Reservation,
    "charge": ChargeStatus,
    "shipment": ShipmentStatus,
    "approval": Approval,
}


def order_key(order_id: str, sort: str = ORDER) -> tuple[str, str]:
    """Return the key of an order's item, or of another item in its collection."""
    return f"order#{order_id}", sort


def mail_key(order_id: str, message_id: str) -> tuple[str, str]:
    """Return the key of the mark that a mail of an order was sent."""
    return order_key(order_id, f"{MAIL}#{message_id}")


def is_order(item: Mapping[str, Any]) -> bool:
    """Return whether an item has an order's record, not just requests that arrived before it."""
    return item["sk"] == ORDER and EARLY not in item


def open_partition(customer_id: str) -> str:
    """Return the index partition of a customer's open orders in earlier versions."""
    return f"{OPEN}#{crc32(customer_id.encode()) % SHARDS}"


def customer_key(record: OrderRecord) -> dict[str, str]:
    """Return the key of an order in the index of its customer's orders."""
    return {"gpk": record.customer_id, "gsk": sort_key(record.created_at)}


def sort_key(created_at: float) -> str:
    """Return the sort key of an order among its customer's."""
    return f"{created_at:020.6f}"


def due_key(spread_by: str, at: float) -> dict[str, object]:
    """Return the key of an item that is due at a time; the hash of ``spread_by`` spreads items."""
    return {"dp": str(crc32(spread_by.encode()) % SHARDS), "due": int(at)}


def due_at(record: OrderRecord) -> float:
    """Return the time from which an open order may be stranded.

    It is the end of its lease or wait. Messages in its outbox are sent again from then on, too.
    """
    if record.lease_owner is not None:
        return record.lease_until
    return max(record.resume_at, record.updated_at)


def encode_fields(values: Mapping[str, Any]) -> tuple[dict[str, object], list[str]]:
    """Return the attributes to set, and the names of those to remove, for fields of a record."""
    sets: dict[str, object] = {}
    removes = []
    for name, value in values.items():
        if name == "order_id":
            continue
        default = name in _DEFAULTS and name != "version" and value == _DEFAULTS[name]
        if default or (name == "correlation_id" and value == values.get("event_id")):
            removes.append(ATTRIBUTES[name])
        else:
            sets[ATTRIBUTES[name]] = _encode(name, value)
    return sets, removes


def to_record(item: Mapping[str, Any]) -> OrderRecord:
    """Return the record in an order's item.

    Raises
    ------
    StoreError
        Another version wrote the item: an attribute is malformed, or one without a default missing.
    """
    order_id = str(item["pk"]).partition("#")[2]
    values: dict[str, Any] = {"order_id": order_id}
    for name, attribute in ATTRIBUTES.items():
        if attribute in item:
            try:
                values[name] = _decode(name, item[attribute])
            except (KeyError, TypeError, ValueError) as error:
                raise _malformed_item(order_id, f"{name} ({attribute}): {error}") from None
    values.setdefault("correlation_id", values.get("event_id"))
    if _AMENDED in item:  # an older version had one time for both fields
        for name in ("shipping_address_as_of", "email_as_of"):
            values.setdefault(name, item[_AMENDED])
    missing = [name for name in _REQUIRED if values.get(name) is None]
    if missing:
        problem = f"{missing[0]} ({ATTRIBUTES[missing[0]]}) is missing"
        raise _malformed_item(order_id, problem)
    return OrderRecord(**values)


def compact_id(text: str) -> str | bytes:
    """Return a UUID, two UUIDs (the name of a run) or a digest as bytes; other text unchanged."""
    try:
        compact = b"_".join(bytes.fromhex(part.replace("-", "")) for part in text.split("_"))
    except ValueError:
        return text
    return compact if len(compact) in _EXPANDED and expand_id(compact) == text else text


def expand_id(value: str | bytes) -> str:
    """Return the text that `compact_id` took."""
    return value if isinstance(value, str) else _EXPANDED[len(value)](value)


_EXPANDED: Mapping[int, Callable[[bytes], str]] = {
    16: lambda compact: str(UUID(bytes=compact)),
    32: bytes.hex,
    33: lambda compact: f"{UUID(bytes=compact[:16])}_{UUID(bytes=compact[17:])}",
}
"""The text of compact ids, by their number of bytes."""


def to_entries(epoch: int | None, entries: Sequence[Entry]) -> list[list[object]]:
    """Encode entries of a timeline, each with the epoch that wrote it."""
    rows = []
    for entry in entries:
        row: list[object] = [entry.what, entry.at, epoch]
        if entry.detail:
            row.append({name: _encode_detail(value) for name, value in entry.detail.items()})
        rows.append(row)
    return rows


def from_entry(stored: Sequence[Any]) -> tuple[int | None, Entry]:
    """Decode an entry of a timeline; return the epoch that wrote it, and the entry."""
    what, at, epoch, *rest = stored
    detail = {
        name: expand_id(value) if isinstance(value, bytes) else value
        for name, value in (rest[0] if rest else {}).items()
    }
    return epoch, Entry(what, float(at), detail)


def to_message(message: Message, at: float) -> list[object]:
    """Encode a message of the outbox."""
    return [message.kind, json.dumps(message.body, separators=(",", ":")), at]


def from_message(stored: Sequence[Any]) -> tuple[Message, float]:
    """Decode a message of the outbox; return it, and the time at which it was added."""
    kind, body, at = stored
    return Message(kind, json.loads(body)), float(at)


def _encode(name: str, value: Any) -> object:
    if name == "items":
        return [[line.sku, line.quantity, line.unit_price] for line in value]
    return compact_id(value) if name in _IDS else value


def _decode(name: str, value: Any) -> object:
    if name == "items":
        return tuple(Line(*line) for line in value)
    if name in _IDS:
        return expand_id(value)
    if name in _TIMES:
        return float(value)
    kind = _ENUMS.get(name)
    return kind(value) if kind else value


def _encode_detail(value: object) -> object:
    """Encode a value of an entry's detail: an id as bytes, a long text cut off."""
    if not isinstance(value, str):
        return value
    return compact_id(value) if len(value) <= MAX_TEXT else f"{value[: MAX_TEXT - 1]}…"


def _malformed_item(order_id: str, problem: str) -> StoreError:
    return StoreError(
        f"order {order_id} was written by another version: {problem};"
        " read it with that version, or correct the item"
    )
