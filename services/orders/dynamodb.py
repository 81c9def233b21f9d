"""Orders in DynamoDB, their queries, and the outbox, which the relay empties.

One index has each order under its customer. The other has open items by the time at which they are
due: orders until they have ended and their outbox is empty, other items with an outbox until that
is empty, and early requests. Earlier versions had open items under ``open#N`` of the first index.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import islice
from typing import Any
from uuid import uuid4

from kernel import json_text
from kernel.errors import VersionConflict
from kernel.idempotency import confirmation_id
from kernel.order_record import Change, Message, OrderRecord
from kernel.order_status import ENDED
from orders import refused_events
from orders.early_requests import MAX_KEPT, RETENTION, EarlyRequest, RequestedBefore, too_many
from orders.idempotency_key import Key, Use
from orders.outbox import GRACE, OutboxItem
from storage.dynamodb.attributes import from_item
from storage.dynamodb.order_item import (
    ATTRIBUTES,
    EARLY,
    OPEN,
    ORDER,
    SHARDS,
    compact_id,
    due_key,
    expand_id,
    from_entry,
    from_message,
    is_order,
    mail_key,
    open_partition,
    order_key,
    sort_key,
    to_message,
    to_record,
)
from storage.dynamodb.records import DynamoRecords, add_outbox, first_write
from storage.dynamodb.table import DUE, ConditionFailed, Item, Removal, Table, Update
from storage.dynamodb.waiting import forget_waiting, waiting_entries, waiting_for

KEY = "key"
SAME_TIME = 10
"""Maximum orders of a customer with one time of creation: a page is read with so many more."""

BATCH = 100
"""Items that are read at once (BatchGetItem, Service quotas)."""

_COMPARED = ("reconciler", "sink")
_ENDED = sorted(str(status) for status in ENDED)


class DynamoOrders(DynamoRecords):
    """The orders' store (see `orders.usecases.OrderStore`)."""

    def by_customer(self, customer_id: str, limit: int, after: str | None) -> list[OrderRecord]:
        """Return a customer's orders, newest first; with ``after``, those older than that order.

        The index is eventually consistent, as every index of DynamoDB.
        """
        start = self.find(after) if after else None
        # the sort keys of earlier versions have the id
        older_than = f"{sort_key(start.created_at)}#{start.order_id}" if start else "9"
        keys = [
            *self.table.query(
                "gpk = :part AND gsk = :customer",
                part=open_partition(customer_id),
                customer=customer_id,
            ),
            *self.table.query(
                "gpk = :customer AND gsk < :older_than",
                backwards=True,
                limit=limit + SAME_TIME,
                customer=customer_id,
                older_than=older_than,
            ),
        ]
        records = [to_record(item) for item in self.table.get_all(_order_keys(keys))]
        records.sort(key=_age, reverse=True)
        return [each for each in records if start is None or _age(each) < _age(start)][:limit]

    def save_waiting(self, change: Change, skus: Sequence[str]) -> OrderRecord:
        """Write a change, and an index entry of the order under each SKU that it waits for."""
        return self.write(change, others=waiting_entries(change.after, skus))

    def waiting_for(self, sku: str, limit: int) -> list[str]:
        """Return the ids of orders that waited for a SKU, the oldest order first."""
        return waiting_for(self.table, sku, limit)

    def forget_waiting(self, sku: str, records: Sequence[OrderRecord]) -> None:
        """Delete the index entries of these orders under a SKU."""
        forget_waiting(self.table, sku, records)

    def open(
        self, change: Change, requests: Sequence[EarlyRequest] = (), key: Key | None = None
    ) -> OrderRecord:
        """Write a new order, and delete the early requests that its record accounts for.

        Early requests are in the order's own item, so the first write detects them without a read.
        """
        update = first_write(change)
        if requests:
            _require_requests(update, requests)
            update.remove(EARLY)
        else:
            update.if_absent()
        order_id, others = change.before.order_id, []
        if key is not None:
            others.append(_put_key(key, order_id, change.after.created_at))
        try:
            self.table.write(update, *others)
        except ConditionFailed as failed:
            if key is not None and 0 not in failed.stored:
                raise _key_conflict(key) from None
            stored = failed.stored[0]
            if stored is None or EARLY in stored:
                raise RequestedBefore(change.before.order_id, requests_in(stored)) from None
            raise VersionConflict(f"order {change.before.order_id} has come meanwhile") from None
        return change.after

    def keep_request(self, request: EarlyRequest) -> None:
        """Store a request for an order that does not exist yet, once."""
        put_request(self.table, request)

    def expired_requests(self, before: float, limit: int) -> list[list[EarlyRequest]]:
        """Return the early requests of each missing order whose newest one is older than a time."""
        outlasted = []
        for item in _due_items(self.table, before + RETENTION):
            requests = requests_in(item)
            if requests and max(request.came_at for request in requests) < before:
                outlasted.append(requests)
            if len(outlasted) == limit:
                break
        return outlasted

    def give_up(
        self, requests: Sequence[EarlyRequest], messages: Sequence[Message], at: float
    ) -> None:
        """Replace an order's early requests by messages in the outbox, in one transaction."""
        order_id = requests[0].order_id
        removal = Update(*order_key(order_id))
        _require_requests(removal, requests)
        name = f"outbox#{uuid4()}"
        update = Update(name, "outbox")
        entries = {str(number): to_message(each, at) for number, each in enumerate(messages)}
        add_outbox(update, entries, name, at)
        try:
            self.table.write(Removal(removal), update)
        except ConditionFailed:
            raise VersionConflict(
                f"order {order_id} or another request has come meanwhile"
            ) from None

    def is_unconfirmed(self, order_id: str) -> bool:
        """Return whether an order's confirmation failed and was not sent since."""
        item = self.table.get(*order_key(order_id)) or {}
        timeline = item.get("tl", ())
        failed = any(from_entry(row)[1].what == "CONFIRMATION_FAILED" for row in timeline)
        mark = mail_key(order_id, confirmation_id(order_id))
        return failed and self.table.get(*mark) is None

    def stranded(self, now: float, grace: float, limit: int) -> list[OrderRecord]:
        """Return orders that have not ended and that no run and no timer will continue."""
        records: list[OrderRecord] = []
        for item in _due_items(self.table, now):
            if not is_order(item):
                continue
            record = to_record(item)
            if _is_stranded(record, now, grace):
                records.append(record)
            if len(records) == limit:
                break
        return records

    def all_open(self, limit: int) -> list[OrderRecord]:
        """Return the orders that have not ended, whenever they are due."""
        items = _due_items(self.table, float("1e12"))
        records = (to_record(item) for item in items if is_order(item))
        return list(islice((record for record in records if not record.ended), limit))

    def unknown(self, order_ids: Iterable[str]) -> list[str]:
        """Return those of these order ids that have no record."""
        keys = {order_key(order_id): order_id for order_id in order_ids}
        for item in self.table.get_all(keys):
            if EARLY not in item:
                del keys[item["pk"], item["sk"]]
        return list(keys.values())

    def compared(self) -> float:
        """Return the time up to which the sink was compared; 0 if it never was."""
        item = self.table.get(*_COMPARED)
        return float(item["until"]) if item else 0.0

    def mark_compared(self, until: float) -> None:
        """Store the time up to which the sink was compared."""
        update = Update(*_COMPARED)
        update.put(until=until)
        self.table.write(update)


class DynamoKeys:
    """Idempotency keys, each an item of its own (see `orders.idempotency_key.Keys`)."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def use_of(self, key: Key) -> Use | None:
        """Return the use of a sender's key, or ``None``."""
        item = self.table.get(*key_item(key))
        return None if item is None else Use(item["order"], expand_id(item["hash"]))

    def keep(self, key: Key, order_id: str, at: float) -> None:
        """Write the key of an existing order, or raise `VersionConflict`."""
        try:
            self.table.write(_put_key(key, order_id, at))
        except ConditionFailed:
            raise _key_conflict(key) from None


def key_item(key: Key) -> tuple[str, str]:
    """Return the item key of an idempotency key: a digest, since both its texts may be long."""
    digest = sha256(f"{len(key.sender)}|{key.sender}|{key.text}".encode()).hexdigest()
    return f"{KEY}#{digest}", KEY


def _put_key(key: Key, order_id: str, at: float) -> Update:
    update = Update(*key_item(key))
    update.if_absent()
    update.put(order=order_id, hash=compact_id(key.fingerprint), at=at)
    return update


def _key_conflict(key: Key) -> VersionConflict:
    return VersionConflict(f"the idempotency key {key.text!r} was used meanwhile")


class DynamoOutbox:
    """The outboxes of all items (see `orders.outbox.Outbox`)."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def added_by(self, record: Mapping[str, Any]) -> OutboxItem | None:
        """Return the messages that a write added to an outbox, from its record in the stream."""
        image = record["dynamodb"].get("NewImage", {})
        if "new" not in image or "out" not in image:
            return None
        item = from_item({name: image[name] for name in _NEEDED if name in image})
        return _outbox_item(item, item["new"].split())

    def overdue(self, before: float, limit: int) -> list[OutboxItem]:
        """Return the messages that are in outboxes since before this time."""
        leftovers: list[OutboxItem] = []
        for item in _due_items(self.table, before + GRACE):
            late = [key for key, stored in item["out"].items() if from_message(stored)[1] < before]
            outbox_item = _outbox_item(item, late)
            if late:
                leftovers.append(outbox_item)
            elif not item["out"] and outbox_item.home:
                self._close(outbox_item, ())
            if len(leftovers) == limit:
                break
        return leftovers

    def remove(self, outbox_item: OutboxItem, ids: Sequence[str]) -> None:
        """Remove accepted messages, without a conflict with other writers of the item."""
        refused_events.keep((outbox_item.messages[key] for key in ids), self.table)
        pk, sk = outbox_item.key
        if sk != ORDER and len(ids) == len(outbox_item.messages):
            self._empty(outbox_item)
        elif not (outbox_item.home and self._close(outbox_item, ids)):
            update = Update(pk, sk)
            update.if_present()
            _remove_messages(update, ids)
            self._write(update)

    def _close(self, outbox_item: OutboxItem, ids: Sequence[str]) -> bool:
        """Remove an ended order from the due items, if its outbox has no other message."""
        assert outbox_item.home is not None
        update = Update(*outbox_item.key)
        outbox, status = update.name("out"), update.name(ATTRIBUTES["status"])
        update.when(f"{status} IN ({', '.join(map(update.value, _ENDED))})")
        update.when(f"size({outbox}) = {update.value(len(ids))}")
        for key in ids:
            update.when(f"attribute_exists({outbox}.{update.name(key)})")
        _remove_messages(update, ids)
        customer, time = outbox_item.home
        update.put(gpk=customer, gsk=time)
        update.remove("dp", "due")
        return self._write(update)

    def _empty(self, outbox_item: OutboxItem) -> None:
        """Remove the outbox of an item other than an order: it gets messages only once."""
        pk, sk = outbox_item.key
        if sk == "outbox":
            self.table.delete(pk, sk)
            return
        update = Update(pk, sk)
        update.if_present()
        _remove_messages(update, list(outbox_item.messages))
        update.remove("gpk", "gsk", "dp", "due")
        self._write(update)

    def _write(self, update: Update) -> bool:
        try:
            self.table.write(update)
        except ConditionFailed:
            return False  # another relay was faster, or there are more messages
        return True


def _require_requests(update: Update, requests: Sequence[EarlyRequest]) -> None:
    """Require that an item has these early requests and no others."""
    early = update.name(EARLY)
    update.when(f"attribute_exists({early})")
    update.when(f"size({early}) = {update.value(len(requests))}")
    for request in requests:
        update.when(f"attribute_exists({early}.{update.name(request.request_id)})")


def put_request(table: Table, request: EarlyRequest) -> None:
    """Store a request in the item of its order, once (see `OrderStore.keep_request`)."""
    detail = json_text.write(request.detail).decode()
    stored: list[Any] = [request.event_id, request.name, detail, request.came_at, request.heard]
    if request.bus_event_id is not None:
        stored.append(request.bus_event_id)
    first = Update(*order_key(request.order_id))
    first.if_absent()
    due = due_key(request.order_id, request.came_at + RETENTION)
    first.put(**{EARLY: {request.request_id: stored}}, out={}, **due)
    another = Update(*order_key(request.order_id))
    early = another.name(EARLY)
    path = f"{early}.{another.name(request.request_id)}"
    another.when(f"attribute_exists({early})")
    room = f"size({early}) < {another.value(MAX_KEPT)}"
    another.when(f"({room} OR attribute_exists({path}))")
    another.set(path, f"if_not_exists({path}, {another.value(stored)})")
    for update in (first, another):
        try:
            table.write(update)
        except ConditionFailed as failed:
            if EARLY not in (failed.stored[0] or {}):
                raise VersionConflict(f"order {request.order_id} has come meanwhile") from None
        else:
            return
    raise too_many(request.order_id)


def requests_in(item: Item | None) -> list[EarlyRequest]:
    """Return the early requests in an item, the oldest first."""
    if item is None:
        return []
    order_id = item["pk"].partition("#")[2]
    requests = [
        EarlyRequest(
            order_id, key, event_id, name, json_text.parse(detail), float(at), float(heard), *bus_id
        )
        for key, (event_id, name, detail, at, heard, *bus_id) in item.get(EARLY, {}).items()
    ]
    return sorted(requests, key=lambda request: (request.came_at, request.request_id))


_NEEDED = (
    "pk",
    "sk",
    "out",
    "new",
    *(ATTRIBUTES[field] for field in ("customer_id", "created_at", "status")),
)


def _outbox_item(item: Item, ids: Sequence[str]) -> OutboxItem:
    """Return these messages of an item, with the index key of an ended order as its ``home``."""
    home = None
    if item["sk"] == ORDER and item.get(ATTRIBUTES["status"]) in ENDED:
        customer, created = item[ATTRIBUTES["customer_id"]], item[ATTRIBUTES["created_at"]]
        home = (customer, sort_key(created))
    messages = {key: from_message(item["out"][key])[0] for key in ids if key in item["out"]}
    return OutboxItem((item["pk"], item["sk"]), messages, home)


def _remove_messages(update: Update, ids: Sequence[str]) -> None:
    for key in ids:
        update.remove_path(f"{update.name('out')}.{update.name(key)}")
    update.remove("new")


def _due_items(table: Table, until: float) -> Iterator[Item]:
    """Yield the items that are due before a time, the oldest of each partition first.

    Items of earlier versions have no time, so all of them are yielded.
    """
    for part in range(SHARDS):
        condition = "dp = :part AND due < :until"
        yield from _items(table, table.query(condition, index=DUE, part=str(part), until=until))
        earlier = table.query("gpk = :part", part=f"{OPEN}#{part}")
        yield from (item for item in _items(table, earlier) if "dp" not in item)


def _items(table: Table, keys: Iterator[Item]) -> Iterator[Item]:
    """Yield the items of index entries, read in batches as they are needed."""
    while batch := [(key["pk"], key["sk"]) for key in islice(keys, BATCH)]:
        yield from table.get_all(batch)


def _order_keys(keys: Sequence[Item]) -> list[tuple[str, str]]:
    return [(key["pk"], key["sk"]) for key in keys if key["sk"] == ORDER]


def _age(record: OrderRecord) -> tuple[float, str]:
    return record.created_at, record.order_id


def _is_stranded(record: OrderRecord, now: float, grace: float) -> bool:
    """Return whether no run and no timer will continue an order."""
    if record.ended or record.lease_until >= now:
        return False
    released_at = record.updated_at if record.lease_owner is None else 0.0
    return max(record.resume_at, released_at) < now - grace
