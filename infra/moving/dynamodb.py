"""A DynamoDB table of AWS as the source or the destination of a move.

No API reads or writes an EventBridge archive, so imported events are stored in the table for a
later export; events that AWS archived since then are replayed from its archive. Imported messages
and dead letters are sent to the stack's queues, or stored in the table if only the table is known.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from high_value.dynamodb import REVIEW
from infra.errors import MoveError
from infra.moving.export_file import Checked
from infra.moving.lines import Row, from_record, identity, to_record
from infra.moving.queues import StackQueues
from infra.moving.reading import Reading
from inventory.dynamodb import RECEIPT, digest_of, receipt_key
from inventory.dynamodb_shards import (
    COUNTS,
    SHARD,
    STOCK,
    read_stock,
    sku_of,
    stock_key,
    stock_of,
    whole,
)
from inventory.model import Stock, mark_of
from kernel import json_text
from kernel.order_record import Entry, Message, OrderRecord
from kernel.order_status import ChargeStatus, ShipmentStatus
from notifications.dynamodb import MAIL
from orders.dynamodb import KEY, put_request, requests_in
from orders.early_requests import EarlyRequest
from orders.model import waits_for_stock
from payments.dynamodb import charge_of, put_charge
from payments.model import LedgerEntry
from shipping.dynamodb import put_shipment, shipment_of
from shipping.model import Shipment
from storage.dynamodb.order_item import (
    EARLY,
    MAX_ENTRIES,
    ORDER,
    compact_id,
    customer_key,
    due_at,
    due_key,
    encode_fields,
    expand_id,
    from_entry,
    order_key,
    to_entries,
    to_message,
)
from storage.dynamodb.order_item import to_record as record_of
from storage.dynamodb.records import add_outbox
from storage.dynamodb.table import ConditionFailed, Item, Table, Update
from storage.dynamodb.waiting import waiting_entries

EVENT, CARRIED, IMPORT = "event", "carried", "import"


class DynamoPlace:
    """A table (a `infra.moving.place.Place`), and the ``queues`` of its stack, if known."""

    archive = False

    def __init__(
        self,
        table: Table,
        queues: StackQueues | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.table = table
        self.queues = queues
        self.name = f"the table {table.name}"
        self._sleep = sleep

    def prepare(self) -> None:
        """Read an item, so that a missing table raises an error at once."""
        self.table.get("order#", ORDER)

    def rows(self) -> Iterator[Row]:
        """Yield all exported lines.

        Raises
        ------
        MoveError
            Orders change meanwhile, or an outbox, which is not exported, has messages.
        """
        reading = Reading(self.table, self._sleep)
        for item in reading.settled():
            yield from self._lines(item)
        for item in self._at_rest(reading):
            yield from self._lines(item)
        if self.queues is not None:
            yield from self.queues.letters()

    def notes(self) -> list[str]:
        """Return a line for each kind of data that is not exported."""
        if self.queues is not None:
            return self.queues.not_exported()
        return [
            "dead letters are in the stack's queues: name the stack with --stack to export them"
        ]

    def find(self, row: Row) -> Row | None:
        """Return the line that the table has under the id of ``row``, or None."""
        item = self.table.get(*_key(row))
        if item is None or EARLY in item:
            requests = {request.request_id: request for request in requests_in(item)}
            request = requests.get(row.get("request_id", ""))
            return _early(request) if request else None
        if row["kind"] == STOCK:
            return _stock_line(read_stock(self.table, [sku_of(item)])[sku_of(item)])
        return None if row["kind"] == EARLY else self._row(item)

    @contextmanager
    def importing(self, file: Checked, now: float) -> Iterator[None]:
        """Write added lines one by one; a repeated import completes an interrupted one."""
        yield
        mark = Update(f"{IMPORT}#{file.digest}", IMPORT)
        mark.if_absent()
        mark.put(at=now, place=str(file.header.get("from")), newest=file.newest_order)
        with suppress(ConditionFailed):  # it was imported before
            self.table.write(mark)

    def add(self, row: Row) -> None:
        """Write a line that the table does not have."""
        kind = row["kind"]
        if kind in ("message", "letter") and self.queues is not None:
            self.queues.send(row)
        if kind == "outbox":
            self._send(row)
        if kind == EARLY:
            put_request(self.table, EarlyRequest(**_early_values(row)))
            return
        update = Update(*_key(row))
        update.if_absent()
        _WRITERS[kind](update, row)
        if kind in ("message", "letter"):
            update.put(sent=self.queues is not None)
        try:
            self.table.write(update, *_waiting(row))
        except ConditionFailed:
            kind, name = identity(row)
            raise MoveError(
                f"another process just wrote {kind} {name} to {self.name}; stop it"
            ) from None

    def _send(self, row: Row) -> None:
        """Put a run or an event into an outbox once, from which the relay sends it."""
        name = f"outbox#{row['id']}"
        update = Update(name, "outbox")
        update.if_absent()
        message = Message(row["what"], row["body"])
        at = row["created_at"]
        add_outbox(update, {"0": to_message(message, at)}, name, at)
        with suppress(ConditionFailed):  # an interrupted import has sent it
            self.table.write(update)

    def _at_rest(self, reading: Reading) -> Iterable[Item]:
        items = list(reading.moving())
        if not reading.rested:
            raise MoveError(
                f"orders in {self.name} change, so it cannot be read as of one moment: stop new"
                " orders, and export again once all have settled; or export the table as of a point"
                " in time (DynamoDB, export to S3)"
            )
        for item in items:
            if item.get("out"):
                raise MoveError(
                    f"the outbox of {_id(item)} in {self.name} has messages; the relay or the"
                    " reconciler sends them within minutes: then export again"
                )
        stock = [item for item in items if item["sk"] in (STOCK, SHARD)]
        others = [item for item in items if item["sk"] not in (STOCK, SHARD)]
        return [*whole(stock), *others]

    def _lines(self, item: Item) -> Iterator[Row]:
        if EARLY in item:
            yield from map(_early, requests_in(item))
            return
        row = None if item.get("sent") else self._row(item)
        if row is not None and row["kind"] != "outbox":
            yield row

    def _row(self, item: Item) -> Row | None:
        """Return an item as a line, or None if it is part of another line."""
        kind = item["sk"].partition("#")[0]
        if kind == ORDER:
            return self._order(item)
        if kind == RECEIPT:
            return self._receipt(item)
        if kind == CARRIED:
            carried: Row = json_text.parse(item["row"])
            return carried
        reader = _READERS.get(kind)
        return None if reader is None else {"kind": kind, **reader(item)}

    def _order(self, item: Item) -> Row:
        collection = self.table.collection(item["pk"])
        timeline = [from_entry(stored) for entry in collection for stored in entry.get("tl", ())]
        timeline.sort(key=lambda entry: entry[1].at)
        return {
            "kind": ORDER,
            "record": from_record(record_of(item)),
            "timeline": [
                {"what": entry.what, "at": entry.at, "epoch": epoch, "detail": dict(entry.detail)}
                for epoch, entry in timeline
            ],
            "charge": charge_of(item),
            "shipment": shipment_of(item),
        }

    def _receipt(self, item: Item) -> Row | None:
        """Return a receipt for the item of its first part, None for further parts."""
        if item["sk"] != f"{RECEIPT}#0":
            return None
        parts = self.table.collection(item["pk"])
        units = sum(part["units"] for part in parts)
        return {
            "kind": RECEIPT,
            "digest": digest_of(item),
            "received_at": item["at"],
            "units": units,
        }


def _key(row: Row) -> tuple[str, str]:
    kind, name = identity(row)
    keys: dict[str, tuple[str, str]] = {
        STOCK: stock_key(name),
        RECEIPT: receipt_key(name),
        ORDER: order_key(name),
        MAIL: order_key(row.get("order_id", ""), f"{MAIL}#{name}"),
        REVIEW: order_key(name, REVIEW),
        EVENT: (f"{EVENT}#{name}", EVENT),
        EARLY: order_key(row.get("order_id", "")),
        KEY: (f"{KEY}#{name}", KEY),
    }
    return keys.get(kind, (f"{CARRIED}#{name}", CARRIED))


def _id(item: Item) -> str:
    return str(item["pk"]).partition("#")[2]


# ---- lines to items


def _put_stock(update: Update, row: Row) -> None:
    counts = {name: row[name] for name in COUNTS if name != "available"}
    update.put(**counts, available=row["on_hand"] - row["reserved"])


def _waiting(row: Row) -> list[Update]:
    """Return the entries of an order that waits for stock, under each of its SKUs."""
    if row["kind"] != ORDER:
        return []
    record = to_record(row["record"])
    return waiting_entries(record, sorted(record.demand)) if waits_for_stock(record) else []


def _put_receipt(update: Update, row: Row) -> None:
    update.put(at=row["received_at"], units=row["units"], whole=True)
    if mark_of(row["digest"]) != row["digest"]:
        update.put(digest=row["digest"])


def _put_order(update: Update, row: Row) -> None:
    record = to_record(row["record"])
    values, _ = encode_fields(record._asdict())
    timeline = [_entry(entry) for entry in row["timeline"]]
    update.put(**values, tl=timeline[:MAX_ENTRIES], out={})
    if len(timeline) > MAX_ENTRIES:
        update.put(more=len(timeline) - MAX_ENTRIES)
    update.put(**customer_key(record))
    if not record.ended:
        update.put(**due_key(record.customer_id, due_at(record)))
    if row["charge"]:
        _put_charge(update, record, row["charge"])
    if row["shipment"]:
        _put_shipment(update, record, row["shipment"])


def _entry(entry: Mapping[str, Any]) -> list[object]:
    [stored] = to_entries(entry["epoch"], [Entry(entry["what"], entry["at"], entry["detail"])])
    return stored


def _put_charge(update: Update, record: OrderRecord, charge: Mapping[str, Any]) -> None:
    entry = LedgerEntry(
        charge["charge_id"],
        record.order_id,
        record.total,
        record.currency,
        ChargeStatus(charge["status"]),
        charge["reference"],
    )
    update.put(lat=charge["opened_at"])
    put_charge(update, record, entry, charge["updated_at"])


def _put_shipment(update: Update, record: OrderRecord, shipment: Mapping[str, Any]) -> None:
    stored = Shipment(
        shipment["shipment_id"], ShipmentStatus(shipment["status"]), shipment["tracking_number"]
    )
    put_shipment(update, record, stored, shipment["updated_at"])


def _put_mail(update: Update, row: Row) -> None:
    update.put(at=row["sent_at"], tl=[])


def _put_review(update: Update, row: Row) -> None:
    values = {name: value for name, value in row.items() if name not in ("kind", "order_id")}
    update.put(**values, tl=[], out={})


def _put_event(update: Update, row: Row) -> None:
    update.put(envelope=row["envelope"], at=row["arrived_at"])


def _put_key(update: Update, row: Row) -> None:
    update.put(order=row["order_id"], hash=compact_id(row["fingerprint"]), at=row["used_at"])


def _put_carried(update: Update, row: Row) -> None:
    update.put(row=json_text.write(row).decode())


_WRITERS: Mapping[str, Callable[[Update, Row], None]] = {
    STOCK: _put_stock,
    RECEIPT: _put_receipt,
    ORDER: _put_order,
    MAIL: _put_mail,
    REVIEW: _put_review,
    EVENT: _put_event,
    KEY: _put_key,
    "outbox": _put_carried,
    "message": _put_carried,
    "letter": _put_carried,
}


# ---- items to lines


def _stock(item: Item) -> Row:
    return stock_of(item)._asdict()


def _stock_line(stock: Stock) -> Row:
    return {"kind": STOCK, **stock._asdict()}


def _mail(item: Item) -> Row:
    message_id = item["sk"].partition("#")[2]
    return {"message_id": message_id, "order_id": _id(item), "sent_at": item["at"]}


def _review(item: Item) -> Row:
    own = {"pk", "sk", "tl", "out", "new", "gpk", "gsk", "dp", "due"}
    return {"order_id": _id(item), **{name: item[name] for name in item if name not in own}}


def _early(request: EarlyRequest) -> Row:
    values = request._asdict() | {"detail": json_text.write(request.detail).decode()}
    return {"kind": EARLY, **values}


def _early_values(row: Row) -> Row:
    values = {name: row[name] for name in EarlyRequest._fields if name in row}
    return values | {"detail": json_text.parse(row["detail"])}


def _idempotency_key(item: Item) -> Row:
    values = {"order_id": item["order"], "fingerprint": expand_id(item["hash"])}
    return {"id": _id(item), "sender": None, "key": None, **values, "used_at": float(item["at"])}


def _event(item: Item) -> Row:
    return {"id": _id(item), "envelope": item["envelope"], "arrived_at": item["at"]}


_READERS: Mapping[str, Callable[[Item], Row]] = {
    STOCK: _stock,
    MAIL: _mail,
    REVIEW: _review,
    EVENT: _event,
    KEY: _idempotency_key,
}
