"""Orders' records in DynamoDB; each service's adapter adds its own attributes to the same write."""

from collections.abc import Callable, Mapping, Sequence
from uuid import uuid4

from kernel import current_order
from kernel.errors import OrderNotFound, VersionConflict
from kernel.order_record import Change, Entry, Message, OrderRecord
from storage.dynamodb.order_item import (
    EARLY,
    MAX_ENTRIES,
    MAX_NOTED,
    customer_key,
    due_at,
    due_key,
    encode_fields,
    order_key,
    to_entries,
    to_message,
    to_record,
)
from storage.dynamodb.table import ConditionFailed, Item, Table, Update

Extend = Callable[[Update], None]


def _add_nothing(_: Update) -> None:
    """Add nothing to an update."""


class DynamoRecords:
    """Orders' records, timelines and outbox in DynamoDB (see `kernel.order_record.Records`)."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def find(self, order_id: str) -> OrderRecord | None:
        """Return the record of an order, or ``None``."""
        item = self.table.get(*order_key(order_id))
        if item is None or EARLY in item:
            return None
        record = to_record(item)
        current_order.notice(record)
        return record

    def read(self, order_id: str) -> OrderRecord:
        """Return the record of an order, or raise `OrderNotFound`."""
        record = self.find(order_id)
        if record is None:
            raise OrderNotFound(f"no order has the id {order_id!r}")
        return record

    def save(self, change: Change) -> OrderRecord:
        """Write a change with its timeline entries and messages, or raise `VersionConflict`."""
        return self.write(change)

    def write(
        self,
        change: Change,
        extend: Extend = _add_nothing,
        others: Sequence[Update] = (),
        attempt: int | None = None,
    ) -> OrderRecord:
        """Write a change, the additions of ``extend`` to its update, and other items, all or none.

        ``attempt`` is that of `Table.write`.

        Raises
        ------
        VersionConflict
            The record has changed since it was read.
        ConditionFailed
            A condition of ``others`` failed; their positions follow the order's update, 0.
        ValueError
            A condition that ``extend`` added failed.
        """
        for full in (False, True):
            update = _update(change, full=full)
            extend(update)
            try:
                self.table.write(update, *others, attempt=attempt)
            except ConditionFailed as failed:
                if 0 not in failed.stored:
                    raise
                if not _is_full(change, failed.stored[0]) or full:
                    raise _explained(change, failed.stored[0]) from None
            else:
                return change.after
        raise AssertionError("a full timeline is no condition the second time")

    def note(self, order_id: str, entry: Entry) -> None:
        """Add an entry to an order's timeline without changing the order."""
        for full in (False, True):
            update = Update(*order_key(order_id))
            update.if_present()
            update.when(f"attribute_not_exists({update.name(EARLY)})")
            _add_entries(update, None, (entry,), None if full else MAX_NOTED)
            update.remove("new")
            try:
                self.table.write(update)
            except ConditionFailed as failed:
                if EARLY in (failed.stored[0] or {EARLY: {}}):
                    raise OrderNotFound(f"no order has the id {order_id!r}") from None
            else:
                return

    def send(self, message: Message, at: float) -> None:
        """Put a message that belongs to no change of a record into an outbox item of its own."""
        self.send_all((message,), at)

    def send_all(self, messages: Sequence[Message], at: float) -> None:
        """Put messages that belong to no change of a record into one outbox item, all or none."""
        name = f"outbox#{uuid4()}"
        update = Update(name, "outbox")
        encoded = {str(number): to_message(message, at) for number, message in enumerate(messages)}
        add_outbox(update, encoded, name, at)
        self.table.write(update)


def add_outbox(update: Update, messages: Mapping[str, object], spread_by: str, at: float) -> None:
    """Give a new item an outbox; the item is in the index of due items until that is empty."""
    update.put(out=messages, new=" ".join(messages), **due_key(spread_by, at))


def put_if_different(update: Update, attribute: str, value: object, in_record: object) -> None:
    """Store a service's value, or no attribute if the record has the same value."""
    if value == in_record:
        update.remove(attribute)
    else:
        update.put(**{attribute: value})


def require_value(update: Update, value: object, *attributes: str) -> None:
    """Require that each of these attributes has this value or does not exist."""
    for attribute in attributes:
        name = update.name(attribute)
        update.when(f"(attribute_not_exists({name}) OR {name} = {update.value(value)})")


def first_write(change: Change) -> Update:
    """Return the update that creates an order's item, without a condition."""
    update = Update(*order_key(change.before.order_id))
    after, messages = change.after, _messages(change)
    values, _ = encode_fields(after._asdict())
    update.put(**values, tl=to_entries(after.epoch, change.entries), out=messages)
    _index(update, change, messages)
    return update


def _update(change: Change, *, full: bool) -> Update:
    """Return the update of a change; with ``full``, only count its timeline entries."""
    if change.before.version == 0:
        update = first_write(change)
        update.if_absent()
        return update
    update = Update(*order_key(change.before.order_id))
    after, entries, messages = change.after, change.entries, _messages(change)
    update.when(f"{update.name('v')} = {update.value(change.before.version)}")
    values, removes = encode_fields(change.fields)
    update.put(**values)
    update.remove(*removes)
    if entries:
        _add_entries(update, after.epoch, entries, None if full else MAX_ENTRIES)
    for key, message in messages.items():
        update.set(f"{update.name('out')}.{update.name(key)}", update.value(message))
    if not messages:
        update.remove("new")
    _index(update, change, messages)
    return update


def _messages(change: Change) -> dict[str, object]:
    after = change.after
    return {
        f"{after.version}.{number}": to_message(message, after.updated_at)
        for number, message in enumerate(change.messages)
    }


def _index(update: Update, change: Change, messages: Mapping[str, object]) -> None:
    """Put an order with messages into the stream, and an open order into the indexes."""
    before, after = change.before, change.after
    if messages:
        update.put(new=" ".join(messages))
    if before.version == 0:
        update.put(**customer_key(after))
    is_moved = not after.ended and int(due_at(before)) != int(due_at(after))
    is_opened_again = before.ended and messages
    if before.version == 0 or is_moved or is_opened_again:
        update.put(**due_key(after.customer_id, due_at(after)))


def _add_entries(
    update: Update, epoch: int | None, entries: Sequence[Entry], room: int | None
) -> None:
    """Add entries if the timeline has fewer than ``room``; if that is ``None``, only count them."""
    if room is None:
        update.add("more", len(entries))
        return
    timeline = update.name("tl")
    update.when(f"size({timeline}) < {update.value(room)}")
    update.set(timeline, f"list_append({timeline}, {update.value(to_entries(epoch, entries))})")


def _is_full(change: Change, stored: Item | None) -> bool:
    return (
        stored is not None
        and stored.get("v") == change.before.version
        and len(stored.get("tl", ())) >= MAX_ENTRIES
    )


def _explained(change: Change, stored: Item | None) -> Exception:
    order_id, version = change.before.order_id, change.before.version
    if stored is None or version == 0 or stored.get("v") != version:
        return VersionConflict(f"order {order_id} has changed meanwhile")
    return ValueError(f"order {order_id} has another value than this write requires")
