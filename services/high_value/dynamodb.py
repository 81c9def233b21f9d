"""Reviews in DynamoDB: one item in the order's collection, with its own timeline and outbox.

The review may be written before the order: the same event starts both.
"""

from high_value.model import Review
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
