"""The marks of sent mails in DynamoDB: items beside the order's, each with its timeline entry."""

from shared.dynamodb import DynamoRecords
from shared.order_item import order_key, to_entries
from shared.record import Entry
from shared.table import Refused, Update

MAIL = "mail"


class DynamoMails(DynamoRecords):
    """The marks (see `notifications.usecases.MailStore`)."""

    def sent(self, message_id: str, order_id: str) -> bool:
        """Return whether this mail was handed over before."""
        return self.table.get(*order_key(order_id, _sort(message_id))) is not None

    def mark(self, message_id: str, order_id: str, entry: Entry) -> None:
        """Mark a mail as sent and add to its order's timeline, in one write, once."""
        update = Update(*order_key(order_id, _sort(message_id)))
        update.if_absent()
        update.put(at=entry.at, tl=to_entries(None, (entry,)))
        try:
            self.table.write(update)
        except Refused:
            return  # marked before


def _sort(message_id: str) -> str:
    return f"{MAIL}#{message_id}"
