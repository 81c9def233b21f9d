"""Orders' records in DynamoDB; each service's adapter adds what it moves in the same write."""

from collections.abc import Callable, Mapping, Sequence
from uuid import uuid4

from kernel.errors import OrderNotFound, VersionConflict
from kernel.order_record import Change, Entry, Message, OrderRecord
from storage.dynamodb.order_item import (
    EARLY,
    MAX_ENTRIES,
    MAX_NOTED,
    encoded,
    open_at,
    order_key,
    to_entries,
    to_message,
    to_record,
)
from storage.dynamodb.table import Item, Refused, Table, Update

Extend = Callable[[Update], None]


def _as_it_is(_: Update) -> None:
    """Add nothing to an update."""


class DynamoRecords:
    """Orders' records, timelines and outbox in DynamoDB (see `kernel.order_record.Records`)."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def find(self, order_id: str) -> OrderRecord | None:
        """Return the record of an order, if there is one."""
        item = self.table.get(*order_key(order_id))
        return None if item is None or EARLY in item else to_record(item)

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
        self, change: Change, extend: Extend = _as_it_is, others: Sequence[Update] = ()
    ) -> OrderRecord:
        """Write a change, what ``extend`` adds to it, and other items, all or nothing.

        Raises
        ------
        VersionConflict
            The record has changed meanwhile.
        Refused
            Conditions of ``others`` did not hold, which come after the order's own.
        ValueError
            A condition that ``extend`` added did not hold.
        """
        for full in (False, True):
            update = _update(change, full=full)
            extend(update)
            try:
                self.table.write(update, *others)
            except Refused as refused:
                if 0 not in refused.standing:
                    raise
                if not _is_full(change, refused.standing[0]) or full:
                    raise _explained(change, refused.standing[0]) from None
            else:
                return change.after
        raise AssertionError("a full timeline is no condition the second time")

    def note(self, order_id: str, entry: Entry) -> None:
        """Add a line to an order's timeline without touching the order."""
        for full in (False, True):
            update = Update(*order_key(order_id))
            update.if_present()
            update.when(f"attribute_not_exists({update.name(EARLY)})")
            _add_entries(update, None, (entry,), None if full else MAX_NOTED)
            update.remove("new")
            try:
                self.table.write(update)
            except Refused as refused:
                if EARLY in (refused.standing[0] or {EARLY: {}}):
                    raise OrderNotFound(f"no order has the id {order_id!r}") from None
            else:
                return

    def send(self, message: Message, at: float) -> None:
        """Put a message that goes with no record into the outbox: an item of its own."""
        name = f"outbox#{uuid4()}"
        update = Update(name, "outbox")
        add_outbox(update, {"0": to_message(message, at)}, name)
        self.table.write(update)


def add_outbox(update: Update, messages: Mapping[str, object], spread_by: str) -> None:
    """Give a new item its outbox; the index has the item until that is empty again."""
    update.put(out=messages, new=" ".join(messages), gpk=open_at(spread_by), gsk=spread_by)


def put_beside(update: Update, attribute: str, said: object, known: object) -> None:
    """Put what a service says, unless the record says the same already."""
    if said == known:
        update.remove(attribute)
    else:
        update.put(**{attribute: said})


def if_of(update: Update, key: object, *attributes: str) -> None:
    """Write only if these attributes have this key, or none yet."""
    for attribute in attributes:
        named = update.name(attribute)
        update.when(f"(attribute_not_exists({named}) OR {named} = {update.value(key)})")


def first_write(change: Change) -> Update:
    """Return the write of a new order's item, without a condition."""
    update = Update(*order_key(change.before.order_id))
    after, messages = change.after, _messages(change)
    values, _ = encoded(after._asdict())
    update.put(**values, tl=to_entries(after.epoch, change.entries), out=messages)
    _open(update, change, messages)
    return update


def _update(change: Change, *, full: bool) -> Update:
    """Return the write of a change to its order's item; a full timeline is only counted on."""
    if change.before.version == 0:
        update = first_write(change)
        update.if_absent()
        return update
    update = Update(*order_key(change.before.order_id))
    after, entries, messages = change.after, change.entries, _messages(change)
    update.when(f"{update.name('v')} = {update.value(change.before.version)}")
    values, removes = encoded(change.fields)
    update.put(**values)
    update.remove(*removes)
    if entries:
        _add_entries(update, after.epoch, entries, None if full else MAX_ENTRIES)
    for key, message in messages.items():
        update.set(f"{update.name('out')}.{update.name(key)}", update.value(message))
    if not messages:
        update.remove("new")
    _open(update, change, messages)
    return update


def _messages(change: Change) -> dict[str, object]:
    after = change.after
    return {
        f"{after.version}.{number}": to_message(message, after.updated_at)
        for number, message in enumerate(change.messages)
    }


def _open(update: Update, change: Change, messages: Mapping[str, object]) -> None:
    """Have the stream and the index show the order for what is to be done with it."""
    if messages:
        update.put(new=" ".join(messages))
    if messages or change.before.version == 0:
        update.put(gpk=open_at(change.after.customer_id), gsk=change.after.customer_id)


def _add_entries(
    update: Update, epoch: int | None, entries: Sequence[Entry], room: int | None
) -> None:
    """Add entries if the timeline has fewer than ``room``; without room, only count them."""
    if room is None:
        update.add("more", len(entries))
        return
    timeline = update.name("tl")
    update.when(f"size({timeline}) < {update.value(room)}")
    update.set(timeline, f"list_append({timeline}, {update.value(to_entries(epoch, entries))})")


def _is_full(change: Change, standing: Item | None) -> bool:
    return (
        standing is not None
        and standing.get("v") == change.before.version
        and len(standing.get("tl", ())) >= MAX_ENTRIES
    )


def _explained(change: Change, standing: Item | None) -> Exception:
    order_id, version = change.before.order_id, change.before.version
    if standing is None or version == 0 or standing.get("v") != version:
        return VersionConflict(f"order {order_id} has changed meanwhile")
    return ValueError(f"order {order_id} holds something else than this write goes on from")
