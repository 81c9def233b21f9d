"""What a file of the move has: a JSON object a line, and the totals of all lines.

===========  ======================================================================================
kind         what it has
===========  ======================================================================================
``stock``    a SKU's counts
``receipt``  the mark of a stock file that was received
``order``    an order's record, timeline, charge (the ledger) and shipment
``mail``     the mark of a mail that was sent
``review``   the review of an order of high value
``early``    a request that came before its order
``event``    an event of the archive in its envelope
===========  ======================================================================================
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from shared.money import text
from shared.record import (
    ENDED,
    ChargeStatus,
    Line,
    OrderRecord,
    Reservation,
    ShipmentStatus,
    Status,
)

Row = dict[str, Any]

IDS: Mapping[str, tuple[str, ...]] = {
    "stock": ("sku",),
    "receipt": ("digest",),
    "order": ("record", "order_id"),
    "mail": ("message_id",),
    "review": ("order_id",),
    "early": ("request_id",),
    "event": ("envelope", "id"),
}
"""Where the id is that a line of each kind has."""

COUNTS = ("received", "on_hand", "reserved", "shipped", "restocked")

_KINDS: Mapping[str, Any] = {
    "status": Status,
    "reservation": Reservation,
    "charge": ChargeStatus,
    "shipment": ShipmentStatus,
}
_NAMES = set(OrderRecord._fields)


def identity(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return a line's kind and id.

    Raises
    ------
    KeyError
        It is of no kind that is known here, or has no id.
    """
    found: Any = row
    for step in IDS[row["kind"]]:
        found = found[step]
    return row["kind"], str(found)


def from_record(record: OrderRecord) -> Row:
    """Return a record as JSON has it."""
    row = {name: getattr(record, name) for name in sorted(_NAMES)}
    row["items"] = [[line.sku, line.quantity, line.unit_price] for line in record.items]
    return row


def to_record(row: Mapping[str, Any]) -> OrderRecord:
    """Return the record in a line; what is not known here is left out."""
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
    """Say whether two lines are of the same data; a timeline may have grown by notes."""
    if row["kind"] != "order":
        return row == other
    if to_record(row["record"]) != to_record(other["record"]):
        return False
    return all(row[name] == other[name] for name in ("charge", "shipment"))


class Totals:
    """What lines add up to."""

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
        """The totals, named as `orders run` names them."""
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
            **({"early_requests": counts["early"]} if counts["early"] else {}),
        }
