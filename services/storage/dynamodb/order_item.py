"""An order as one DynamoDB item, there and back.

Every step of an order writes its item, and DynamoDB bills names and values together by the
kilobyte. So names are short, ids are binary, and what has its default is not stored.

==============  ===================================================================================
attribute       what it has
==============  ===================================================================================
``pk``, ``sk``  ``order#ID``, ``order``
`ATTRIBUTES`    the record
``tl``          its timeline: a list of ``[what, at, epoch, detail]``
``more``        how many entries came after the timeline was full
``out``         its outbox: messages by id, each ``[kind, body as JSON, at]``
``new``         ids of the messages that the last write added: what the stream is filtered by
``early``       requests that came before the order, by their id, in an item that has no record yet:
                each ``[event id, name, detail as JSON, came at, heard]``
``gpk, gsk``    the index: ``open#N`` and the customer while something is still to be done (the
                order has not ended, or its outbox is not empty), then the customer and the time
==============  ===================================================================================
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID
from zlib import crc32

from kernel.errors import StoreError
from kernel.order_record import Entry, Line, Message, OrderRecord
from kernel.order_status import ChargeStatus, Reservation, ShipmentStatus, Status

ORDER, OPEN, EARLY, MAIL = "order", "open", "early", "mail"
SHARDS = 8
"""Parts of the index of what is open: one key takes 1,000 writes a second (Partition limits)."""

MAX_ENTRIES, MAX_NOTED = 200, 100
"""Entries a timeline keeps; notes stop earlier, so that no flood of them hides what happened."""

MAX_TEXT = 1_000
"""Characters kept of a text in an entry's detail: an item has at most 400 KB."""

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
}
ATTRIBUTES = {name: _SHORT.get(name, name) for name in OrderRecord._fields if name != "order_id"}
"""A record's fields and their attributes; ``order_id`` is in the key."""

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
_TIMES = frozenset({"created_at", "updated_at", "lease_until", "resume_at"})
_ENUMS: Mapping[str, Any] = {
    "status": Status,
    "reservation": Reservation,
    "charge": ChargeStatus,
    "shipment": ShipmentStatus,
}


def order_key(order_id: str, sort: str = ORDER) -> tuple[str, str]:
    """Return the key of an order's item, or of another item beside it."""
    return f"order#{order_id}", sort


def mail_key(order_id: str, message_id: str) -> tuple[str, str]:
    """Return the key of the mark of a mail that was sent for an order."""
    return order_key(order_id, f"{MAIL}#{message_id}")


def is_order(item: Mapping[str, Any]) -> bool:
    """Say whether an item has an order's record, and not only requests that came before it."""
    return item["sk"] == ORDER and EARLY not in item


def open_at(spread_by: str) -> str:
    """Return the part of the index where what is open stands, spread by this text."""
    return f"{OPEN}#{crc32(spread_by.encode()) % SHARDS}"


def closed_at(created_at: float, order_id: str) -> str:
    """Return where an order stands among those of its customer in the index."""
    return f"{created_at:020.6f}#{order_id}"


def encoded(values: Mapping[str, Any]) -> tuple[dict[str, object], list[str]]:
    """Return the attributes to set and those to remove for these fields of a record."""
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
        Another version wrote the item: something that has no default is missing or malformed.
    """
    order_id = str(item["pk"]).partition("#")[2]
    values: dict[str, Any] = {"order_id": order_id}
    for name, attribute in ATTRIBUTES.items():
        if attribute in item:
            try:
                values[name] = _decode(name, item[attribute])
            except (KeyError, TypeError, ValueError) as error:
                raise _of_another_shape(order_id, f"{name} ({attribute}): {error}") from None
    values.setdefault("correlation_id", values.get("event_id"))
    if _AMENDED in item:  # an older version had one time for both
        for name in ("shipping_address_as_of", "email_as_of"):
            values.setdefault(name, item[_AMENDED])
    missing = [name for name in _REQUIRED if values.get(name) is None]
    if missing:
        problem = f"{missing[0]} ({ATTRIBUTES[missing[0]]}) is missing"
        raise _of_another_shape(order_id, problem)
    return OrderRecord(**values)


def packed(text: str) -> str | bytes:
    """Return a UUID, two of them (the name of a run), or a digest as bytes; other text as it is."""
    try:
        found = b"_".join(bytes.fromhex(part.replace("-", "")) for part in text.split("_"))
    except ValueError:
        return text
    return found if len(found) in _PACKED and unpacked(found) == text else text


def unpacked(value: str | bytes) -> str:
    """Return the text that was packed."""
    return value if isinstance(value, str) else _PACKED[len(value)](value)


_PACKED: Mapping[int, Callable[[bytes], str]] = {
    16: lambda found: str(UUID(bytes=found)),
    32: bytes.hex,
    33: lambda found: f"{UUID(bytes=found[:16])}_{UUID(bytes=found[17:])}",
}
"""What a text of bytes was, by their number."""


def to_entries(epoch: int | None, entries: Sequence[Entry]) -> list[list[object]]:
    """Return entries of a timeline as they are stored, each with the epoch that wrote it."""
    stored = []
    for entry in entries:
        row: list[object] = [entry.what, entry.at, epoch]
        if entry.detail:
            row.append({name: _kept(value) for name, value in entry.detail.items()})
        stored.append(row)
    return stored


def from_entry(stored: Sequence[Any]) -> tuple[int | None, Entry]:
    """Return an entry of a timeline and the epoch that wrote it."""
    what, at, epoch, *rest = stored
    detail = {
        name: unpacked(value) if isinstance(value, bytes) else value
        for name, value in (rest[0] if rest else {}).items()
    }
    return epoch, Entry(what, float(at), detail)


def to_message(message: Message, at: float) -> list[object]:
    """Return a message as it is stored."""
    return [message.kind, json.dumps(message.body, separators=(",", ":")), at]


def from_message(stored: Sequence[Any]) -> tuple[Message, float]:
    """Return a message and when it was put into the outbox."""
    kind, body, at = stored
    return Message(kind, json.loads(body)), float(at)


def _encode(name: str, value: Any) -> object:
    if name == "items":
        return [[line.sku, line.quantity, line.unit_price] for line in value]
    return packed(value) if name in _IDS else value


def _decode(name: str, value: Any) -> object:
    if name == "items":
        return tuple(Line(*line) for line in value)
    if name in _IDS:
        return unpacked(value)
    if name in _TIMES:
        return float(value)
    kind = _ENUMS.get(name)
    return kind(value) if kind else value


def _kept(value: object) -> object:
    """Return a value of an entry's detail as it is stored: an id as bytes, no text without end."""
    if not isinstance(value, str):
        return value
    return packed(value) if len(value) <= MAX_TEXT else f"{value[: MAX_TEXT - 1]}…"


def _of_another_shape(order_id: str, problem: str) -> StoreError:
    return StoreError(
        f"order {order_id} was written by another version: {problem};"
        " read it with that version, or mend the item"
    )
