"""The marks of sent mails in DynamoDB: items in the order's collection, with a timeline entry."""

from kernel.order_record import Entry
from storage.dynamodb.order_item import MAIL, mail_key, to_entries
from storage.dynamodb.records import DynamoRecords
from storage.dynamodb.table import ConditionFailed, Update

__all__ = ["MAIL", "DynamoMails"]


class DynamoMails(DynamoRecords):
    """The marks of sent mails (see `notifications.usecases.MailStore`)."""

    def sent(self, message_id: str, order_id: str) -> bool:
        """Return whether this mail was sent before."""
        return self.table.get(*mail_key(order_id, message_id)) is not None

    def mark(self, message_id: str, order_id: str, entry: Entry) -> None:
        """Mark a mail as sent, with a timeline entry, in one write, once."""
        update = Update(*mail_key(order_id, message_id))
        update.if_absent()
        update.put(at=entry.at, tl=to_entries(None, (entry,)))
        try:
            self.table.write(update)
        except ConditionFailed:
            return  # marked before
