"""Reviews in DynamoDB: one item in the order's collection, with its own timeline and outbox.

The review may be written before the order: the same event starts both.
"""

from high_value.model import Review, no_open_review
from kernel.errors import ReviewNotFound
from kernel.order_record import Entry, Message
from storage.dynamodb.order_item import order_key, to_entries, to_message
from storage.dynamodb.records import DynamoRecords, add_outbox
from storage.dynamodb.table import ConditionFailed, Update

REVIEW = "review"


class DynamoReviews(DynamoRecords):
    """The reviews (see `high_value.usecases.ReviewStore`)."""

    def open(self, review: Review, entry: Entry, message: Message) -> bool:
        """Write a review, its timeline entry and its message in one write, once."""
        values = review._asdict()
        update = Update(*order_key(values.pop("order_id"), REVIEW))
        update.if_absent()
        update.put(**values, status="OPEN", tl=to_entries(None, (entry,)))
        messages = {"0": to_message(message, entry.at)}
        add_outbox(update, messages, review.customer_id, entry.at)
        try:
            self.table.write(update)
        except ConditionFailed:
            return False
        return True

    def status(self, order_id: str) -> str | None:
        """Return the status of an order's review, or ``None``."""
        item = self.table.get(*order_key(order_id, REVIEW))
        return None if item is None else str(item["status"])

    def close(self, order_id: str, entry: Entry) -> None:
        """Close an open review with its timeline entry, or raise `ReviewNotFound`."""
        update = Update(*order_key(order_id, REVIEW))
        update.when(f"{update.name('status')} = {update.value('OPEN')}")
        update.put(status="CLOSED")
        timeline = update.name("tl")
        entries = update.value(to_entries(None, (entry,)))
        update.set(timeline, f"list_append({timeline}, {entries})")
        update.remove("new")
        try:
            self.table.write(update)
        except ConditionFailed:
            raise ReviewNotFound(no_open_review(order_id, self.status(order_id))) from None
