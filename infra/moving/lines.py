"""The lines of an export file, a JSON object each, and the totals of all lines.

===========  ======================================================================================
kind         content
===========  ======================================================================================
``stock``    a SKU's counts
``receipt``  the mark of a received stock file
``order``    an order's record, timeline, charge (the ledger) and shipment
``mail``     the mark of a sent mail
``review``   the review of an order of high value
``key``      an idempotency key, and the order that it placed
``early``    a request that arrived before its order
``event``    an event of the archive, with the text of its envelope
``outbox``   a pending run or event
``message``  a message of a consumed queue
``letter``   a dead letter
===========  ======================================================================================

Lines without an id of their own get an id from their content (see `numbered`).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any

from kernel import json_text
from kernel.money import text
from kernel.order_record import Line, OrderRecord
from kernel.order_status import ENDED, Approval, ChargeStatus, Reservation, ShipmentStatus, Status

Row = dict[str, Any]

IDS: Mapping[str, tuple[str, ...]] = {
    "stock": ("sku",),
    "receipt": ("digest",),
    "order": ("record", "order_id"),
    "mail": ("message_id",),
    "review": ("order_id",),
    "early": ("request_id",),
    "key": ("id",),
    "event": ("id",),
    "outbox": ("id",),
    "message": ("id",),
    "letter": ("id",),
}
"""The path to the id of a line, by kind."""

COUNTS = ("received", "on_hand", "reserved", "shipped", "restocked")
MESSAGE = ("queue", "body", "attributes", "sent_at")

_WHOLE, _TEXT, _TIME = (int,), (str,), (int, float)
_TYPES: Mapping[str, Mapping[str, tuple[type, ...]]] = {
    "stock": dict.fromkeys(COUNTS, _WHOLE),
    "receipt": {"received_at": _TIME, "units": _WHOLE},
    "order": {"record": (dict,), "timeline": (list,)},
    "mail": {"order_id": _TEXT, "sent_at": _TIME},
    "review": {"customer_id": _TEXT, "total": _WHOLE, "threshold": _WHOLE, "status": _TEXT},
    "early": {"order_id": _TEXT, "name": _TEXT, "detail": _TEXT, "came_at": _TIME},
    "key": {"order_id": _TEXT, "fingerprint": _TEXT, "used_at": _TIME},
    "event": {"envelope": _TEXT, "arrived_at": _TIME},
    "outbox": {"what": _TEXT, "body": (dict,), "created_at": _TIME},
    "message": {"queue": _TEXT, "body": _TEXT, "attributes": (dict,), "sent_at": _TIME},
    "letter": {"queue": _TEXT, "body": _TEXT, "attributes": (dict,), "sent_at": _TIME},
}
"""Required fields by kind, with their types."""

_KINDS: Mapping[str, Any] = {
    "status": Status,
    "reservation": Reservation,
    "charge": ChargeStatus,
    "shipment": ShipmentStatus,
    "approval": Approval,
}
_NAMES = set(OrderRecord._fields)


def identity(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return a line's kind and id.

    Raises
    ------
    KeyError
        The kind is unknown, or the line has no id.
    """
    value: Any = row
    for step in IDS[row["kind"]]:
        value = value[step]
    return row["kind"], str(value)


def check_fields(row: Mapping[str, Any]) -> None:
    """Raise `ValueError` if a line lacks a field of its kind, or a field has a wrong type."""
    for name, types in _TYPES[row["kind"]].items():
        value = row.get(name)
        if not isinstance(value, types) or isinstance(value, bool):
            raise ValueError(f"its {name} is {value!r}")


def numbered(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield lines with an id from their content and the number of its occurrences."""
    times: Counter[str] = Counter()
    for row in rows:
        digest = sha256(json_text.write(dict(sorted(row.items())))).hexdigest()[:32]
        times[digest] += 1
        yield {**row, "id": f"{digest}-{times[digest]}"}


def from_record(record: OrderRecord) -> Row:
    """Return a record in JSON's types."""
    row = {name: getattr(record, name) for name in sorted(_NAMES)}
    row["items"] = [[line.sku, line.quantity, line.unit_price] for line in record.items]
    return row


def to_record(row: Mapping[str, Any]) -> OrderRecord:
    """Return the record in a line; unknown fields are ignored."""
    values = {name: value for name, value in row.items() if name in _NAMES}
    if "amended_at" in row:  # 0.1.0 had one time for both
        for name in ("shipping_address_as_of", "email_as_of"):
            values.setdefault(name, row["amended_at"])
    values["items"] = tuple(Line(*line) for line in values["items"])
    for name, kind in _KINDS.items():
        if values.get(name) is not None:
            values[name] = kind(values[name])
    return OrderRecord(**values)


def same(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two lines have the same data; a timeline may have additional notes."""
    if row["kind"] == "event" and row["envelope"] != other["envelope"]:
        return bool(json_text.parse(row["envelope"]) == json_text.parse(other["envelope"]))
    if row["kind"] == "key":  # a table does not store its text
        return all(row[name] == other[name] for name in ("order_id", "fingerprint"))
    if row["kind"] == "early":  # 0.2.0 stored no EventId
        return {"bus_event_id": None, **row} == {"bus_event_id": None, **other}
    if row["kind"] != "order":
        return row == other
    if to_record(row["record"]) != to_record(other["record"]):
        return False
    return all(row[name] == other[name] for name in ("charge", "shipment"))


class Totals:
    """The sums of lines."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._revenue = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Count a line."""
        kind = row["kind"]
        self._counts[kind] += 1
        if kind == "stock":
            for name in COUNTS:
                self._counts[name] += row[name]
        if kind == "order":
            self._add_order(row)

    def _add_order(self, row: Mapping[str, Any]) -> None:
        status = Status(row["record"]["status"])
        self._counts[status] += 1
        if status is Status.COMPLETED:
            self._revenue += row["record"]["total"]
        charge = row["charge"] and row["charge"]["status"]
        self._counts["charges"] += charge in (ChargeStatus.CHARGED, ChargeStatus.REFUNDED)
        self._counts["refunds"] += charge == ChargeStatus.REFUNDED
        shipment = row["shipment"] and row["shipment"]["status"]
        self._counts["shipments"] += shipment == ShipmentStatus.CREATED

    @property
    def figures(self) -> Row:
        """The totals, with the names that ``orders run`` uses."""
        counts = self._counts
        return {
            "orders": counts["order"],
            "completed": counts[Status.COMPLETED],
            "failed": counts[Status.FAILED],
            "cancelled": counts[Status.CANCELLED],
            "in_flight": sum(counts[status] for status in Status if status not in ENDED),
            "revenue": text(self._revenue),
            "units_shipped": counts["shipped"] - counts["restocked"],
            **{name: counts[name] for name in ("charges", "refunds", "shipments")},
            "stock": {name: counts[name] for name in COUNTS},
            "skus": counts["stock"],
            "receipts": counts["receipt"],
            "mails": counts["mail"],
            "reviews": counts["review"],
            "events": counts["event"],
            "to_be_sent": counts["outbox"],
            "messages": counts["message"],
            "dead_letters": counts["letter"],
            **({"keys": counts["key"]} if counts["key"] else {}),
            **({"early_requests": counts["early"]} if counts["early"] else {}),
        }
