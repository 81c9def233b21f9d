"""Orders in DynamoDB, what is looked up among them, and the outbox that the relay empties.

The index has an order under ``open#N`` from its first write until it has ended and its outbox is
empty, then under its customer. Other items with an outbox of their own stand there until it is
empty.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any
from uuid import uuid4

from kernel import json_text
from kernel.errors import VersionConflict
from kernel.events import confirmation_id
from kernel.order_record import ENDED, Change, Message, OrderRecord
from orders.early_requests import MAX_KEPT, EarlyRequest, RequestedBefore, too_many
from orders.idempotency_key import Key, Use
from orders.outbox import OutboxItem
from storage.dynamodb.attributes import from_item
from storage.dynamodb.order_item import (
    ATTRIBUTES,
    EARLY,
    OPEN,
    ORDER,
    SHARDS,
    closed_at,
    from_entry,
    from_message,
    is_order,
    mail_key,
    open_at,
    order_key,
    packed,
    to_message,
    to_record,
    unpacked,
)
from storage.dynamodb.records import DynamoRecords, add_outbox, first_write
from storage.dynamodb.table import Item, Refused, Removal, Table, Update

KEY = "key"
_COMPARED = ("reconciler", "sink")
_ENDED = sorted(str(status) for status in ENDED)


class DynamoOrders(DynamoRecords):
    """The orders' store (see `orders.usecases.OrderStore`)."""

    def by_customer(self, customer_id: str, limit: int, after: str | None) -> list[OrderRecord]:
        """Return a customer's orders, newest first, from behind the order ``after`` on.

        The index is a moment behind the table, as every index of DynamoDB.
        """
        start = self.find(after) if after else None
        behind = closed_at(start.created_at, start.order_id) if start else "9"
        keys = [
            *self.table.query(
                "gpk = :part AND gsk = :customer", part=open_at(customer_id), customer=customer_id
            ),
            *self.table.query(
                "gpk = :customer AND gsk < :behind",
                backwards=True,
                limit=limit,
                customer=customer_id,
                behind=behind,
            ),
        ]
        found = [to_record(item) for item in self.table.get_all(_orders(keys))]
        found.sort(key=_age, reverse=True)
        return [one for one in found if start is None or _age(one) < _age(start)][:limit]

    def open(
        self, change: Change, requests: Sequence[EarlyRequest] = (), key: Key | None = None
    ) -> OrderRecord:
        """Write a new order, and forget the requests that its record has taken into account.

        Requests are kept in the order's own item, so that its first write finds them unasked.
        """
        update = first_write(change)
        if requests:
            _if_kept(update, requests)
            update.remove(EARLY)
        else:
            update.if_absent()
        order_id, others = change.before.order_id, []
        if key is not None:
            others.append(_kept_key(key, order_id, change.after.created_at))
        try:
            self.table.write(update, *others)
        except Refused as refused:
            if key is not None and 0 not in refused.standing:
                raise _used_meanwhile(key) from None
            standing = refused.standing[0]
            if standing is None or EARLY in standing:
                raise RequestedBefore(change.before.order_id, kept_in(standing)) from None
            raise VersionConflict(f"order {change.before.order_id} has come meanwhile") from None
        return change.after

    def keep_request(self, request: EarlyRequest) -> None:
        """Keep a request for an order that is not here yet, once."""
        put_kept(self.table, request)

    def expired_requests(self, before: float, limit: int) -> list[list[EarlyRequest]]:
        """Return the requests of each order that did not come, the last of them before a time."""
        found = []
        for part in range(SHARDS):
            condition = "gpk = :part AND begins_with(gsk, :early)"
            keys = self.table.query(condition, part=f"{OPEN}#{part}", early=f"{EARLY}#")
            for item in self.table.get_all([(key["pk"], key["sk"]) for key in keys]):
                requests = kept_in(item)
                if requests and max(one.came_at for one in requests) < before:
                    found.append(requests)
        return found[:limit]

    def give_up(
        self, requests: Sequence[EarlyRequest], letters: Sequence[Message], at: float
    ) -> None:
        """Put letters into the outbox in place of an order's requests, in one transaction."""
        order_id = requests[0].order_id
        gone = Update(*order_key(order_id))
        _if_kept(gone, requests)
        name = f"outbox#{uuid4()}"
        update = Update(name, "outbox")
        stored = {str(number): to_message(one, at) for number, one in enumerate(letters)}
        add_outbox(update, stored, name)
        try:
            self.table.write(Removal(gone), update)
        except Refused:
            raise VersionConflict(
                f"order {order_id} or another request has come meanwhile"
            ) from None

    def is_unconfirmed(self, order_id: str) -> bool:
        """Say whether an order's confirmation could not be sent, and was not sent since."""
        item = self.table.get(*order_key(order_id)) or {}
        failed = any(from_entry(one)[1].what == "CONFIRMATION_FAILED" for one in item.get("tl", ()))
        mark = mail_key(order_id, confirmation_id(order_id))
        return failed and self.table.get(*mark) is None

    def stranded(self, now: float, grace: float, limit: int) -> list[OrderRecord]:
        """Return orders that have not ended and that no run or timer will come back to."""
        found = []
        for item in _open_items(self.table):
            if not is_order(item):
                continue
            record = to_record(item)
            if _is_stranded(record, now, grace):
                found.append(record)
            if len(found) == limit:
                break
        return found

    def events_without_order(
        self,
        since: float,  # noqa: ARG002 - the port's
        before: float,  # noqa: ARG002
    ) -> Iterable[Mapping[str, Any]]:
        """Return nothing: on AWS the sink keeps no envelope that a run could be started with.

        The analysts' rows have neither address nor e-mail nor token, and no API reads an
        EventBridge archive: `orders.lost_events` compares the rows with the orders and has the
        archive replayed.
        """
        return []

    def unknown(self, order_ids: Iterable[str]) -> list[str]:
        """Return those of these orders that are not there."""
        keys = {order_key(order_id): order_id for order_id in order_ids}
        for item in self.table.get_all(keys):
            if EARLY not in item:
                del keys[item["pk"], item["sk"]]
        return list(keys.values())

    def compared(self) -> float:
        """Return until when the sink was compared; 0 if it never was."""
        found = self.table.get(*_COMPARED)
        return float(found["until"]) if found else 0.0

    def mark_compared(self, until: float) -> None:
        """Remember until when the sink was compared."""
        update = Update(*_COMPARED)
        update.put(until=until)
        self.table.write(update)


class DynamoKeys:
    """Idempotency keys, each an item of its own (see `orders.idempotency_key.Keys`)."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def use_of(self, key: Key) -> Use | None:
        """Return what a sender has used a key for, if anything."""
        item = self.table.get(*key_item(key))
        return None if item is None else Use(item["order"], unpacked(item["hash"]))

    def keep(self, key: Key, order_id: str, at: float) -> None:
        """Write the key of an order that is there already, or raise `VersionConflict`."""
        try:
            self.table.write(_kept_key(key, order_id, at))
        except Refused:
            raise _used_meanwhile(key) from None


def key_item(key: Key) -> tuple[str, str]:
    """Return the key of an idempotency key's item: a digest, since both texts may be long."""
    digest = sha256(f"{len(key.sender)}|{key.sender}|{key.text}".encode()).hexdigest()
    return f"{KEY}#{digest}", KEY


def _kept_key(key: Key, order_id: str, at: float) -> Update:
    update = Update(*key_item(key))
    update.if_absent()
    update.put(order=order_id, hash=packed(key.fingerprint), at=at)
    return update


def _used_meanwhile(key: Key) -> VersionConflict:
    return VersionConflict(f"the idempotency key {key.text!r} was used meanwhile")


class DynamoOutbox:
    """The outboxes of all items (see `orders.outbox.Outbox`)."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def added_by(self, record: Mapping[str, Any]) -> OutboxItem | None:
        """Return what the write behind a record of the table's stream put into an outbox."""
        image = record["dynamodb"].get("NewImage", {})
        if "new" not in image or "out" not in image:
            return None
        known = from_item({name: image[name] for name in _NEEDED if name in image})
        return _parcel(known, known["new"].split())

    def overdue(self, before: float, limit: int) -> list[OutboxItem]:
        """Return what was put into outboxes before this time and is still there."""
        found: list[OutboxItem] = []
        for item in _open_items(self.table):
            late = [key for key, stored in item["out"].items() if from_message(stored)[1] < before]
            parcel = _parcel(item, late)
            if late:
                found.append(parcel)
            elif not item["out"] and parcel.home:
                self._close(parcel, ())
            if len(found) == limit:
                break
        return found

    def remove(self, parcel: OutboxItem, ids: Sequence[str]) -> None:
        """Remove messages that were accepted; other writers of the item are not disturbed."""
        pk, sk = parcel.key
        if sk != ORDER and len(ids) == len(parcel.messages):
            self._empty(parcel)
        elif not (parcel.home and self._close(parcel, ids)):
            update = Update(pk, sk)
            update.if_present()
            _remove(update, ids)
            self._write(update)

    def _close(self, parcel: OutboxItem, ids: Sequence[str]) -> bool:
        """Move an ended order to its customer in the index, if nothing else is in its outbox."""
        assert parcel.home is not None
        update = Update(*parcel.key)
        outbox, status = update.name("out"), update.name(ATTRIBUTES["status"])
        update.when(f"{status} IN ({', '.join(update.value(one) for one in _ENDED)})")
        update.when(f"size({outbox}) = {update.value(len(ids))}")
        for key in ids:
            update.when(f"attribute_exists({outbox}.{update.name(key)})")
        _remove(update, ids)
        customer, place = parcel.home
        update.put(gpk=customer, gsk=place)
        return self._write(update)

    def _empty(self, parcel: OutboxItem) -> None:
        """End the outbox of an item that is no order: it has no more than this once."""
        pk, sk = parcel.key
        if sk == "outbox":
            self.table.delete(pk, sk)
            return
        update = Update(pk, sk)
        update.if_present()
        _remove(update, list(parcel.messages))
        update.remove("gpk", "gsk")
        self._write(update)

    def _write(self, update: Update) -> bool:
        try:
            self.table.write(update)
        except Refused:
            return False  # somebody else was faster, or there is more to be sent
        return True


def _if_kept(update: Update, requests: Sequence[EarlyRequest]) -> None:
    """Write only if these requests are kept in an item, and no others."""
    kept = update.name(EARLY)
    update.when(f"attribute_exists({kept})")
    update.when(f"size({kept}) = {update.value(len(requests))}")
    for one in requests:
        update.when(f"attribute_exists({kept}.{update.name(one.request_id)})")


def put_kept(table: Table, request: EarlyRequest) -> None:
    """Store a request in the item of its order, once (see `OrderStore.keep_request`)."""
    detail = json_text.write(request.detail).decode()
    stored = [request.event_id, request.name, detail, request.came_at, request.heard]
    first = Update(*order_key(request.order_id))
    first.if_absent()
    spread = f"{EARLY}#{request.order_id}"
    first.put(**{EARLY: {request.request_id: stored}}, out={}, gpk=open_at(spread), gsk=spread)
    another = Update(*order_key(request.order_id))
    kept = another.name(EARLY)
    place = f"{kept}.{another.name(request.request_id)}"
    another.when(f"attribute_exists({kept})")
    room = f"size({kept}) < {another.value(MAX_KEPT)}"
    another.when(f"({room} OR attribute_exists({place}))")
    another.set(place, f"if_not_exists({place}, {another.value(stored)})")
    for update in (first, another):
        try:
            table.write(update)
        except Refused as refused:
            if EARLY not in (refused.standing[0] or {}):
                raise VersionConflict(f"order {request.order_id} has come meanwhile") from None
        else:
            return
    raise too_many(request.order_id)


def kept_in(item: Item | None) -> list[EarlyRequest]:
    """Return the requests that an item keeps, the oldest first."""
    if item is None:
        return []
    order_id = item["pk"].partition("#")[2]
    found = [
        EarlyRequest(
            order_id, key, event_id, name, json_text.parse(detail), float(at), float(heard)
        )
        for key, (event_id, name, detail, at, heard) in item.get(EARLY, {}).items()
    ]
    return sorted(found, key=lambda one: (one.came_at, one.request_id))


_NEEDED = (
    "pk",
    "sk",
    "out",
    "new",
    *(ATTRIBUTES[one] for one in ("customer_id", "created_at", "status")),
)


def _parcel(item: Item, ids: Sequence[str]) -> OutboxItem:
    """Return these messages of an item, and where an ended order belongs in the index."""
    home = None
    if item["sk"] == ORDER and item.get(ATTRIBUTES["status"]) in ENDED:
        customer, created = item[ATTRIBUTES["customer_id"]], item[ATTRIBUTES["created_at"]]
        home = (customer, closed_at(created, item["pk"].partition("#")[2]))
    messages = {key: from_message(item["out"][key])[0] for key in ids if key in item["out"]}
    return OutboxItem((item["pk"], item["sk"]), messages, home)


def _remove(update: Update, ids: Sequence[str]) -> None:
    for key in ids:
        update.remove_path(f"{update.name('out')}.{update.name(key)}")
    update.remove("new")


def _open_items(table: Table) -> Iterator[Item]:
    """Return everything with which something is still to be done, in no order."""
    for part in range(SHARDS):
        keys = table.query("gpk = :part", part=f"{OPEN}#{part}")
        yield from table.get_all([(key["pk"], key["sk"]) for key in keys])


def _orders(keys: Sequence[Item]) -> list[tuple[str, str]]:
    return [(key["pk"], key["sk"]) for key in keys if key["sk"] == ORDER]


def _age(record: OrderRecord) -> tuple[float, str]:
    return record.created_at, record.order_id


def _is_stranded(record: OrderRecord, now: float, grace: float) -> bool:
    """Say whether neither a run nor a timer comes back to an order."""
    if record.ended or record.lease_until >= now:
        return False
    left_at = record.updated_at if record.lease_owner is None else 0.0
    return max(record.resume_at, left_at) < now - grace
