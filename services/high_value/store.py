"""Reviews in SQLite, in the database of the orders."""

from high_value.model import Review, no_open_review
from kernel.errors import ReviewNotFound
from kernel.order_record import Entry, Message
from storage.sqlite.database import Database
from storage.sqlite.records import SQLiteRecords, add_entry, add_message
from storage.sqlite.schema import REVIEWS


class SQLiteReviews(SQLiteRecords):
    """The reviews (see `high_value.usecases.ReviewStore`)."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        database.define(REVIEWS)

    def open(self, review: Review, entry: Entry, message: Message) -> bool:
        """Write a review, its timeline entry and its message in one transaction, once."""
        with self.database.write() as connection:
            insert = connection.execute(
                "insert into reviews"
                " (order_id, customer_id, currency, total, threshold, flagged_at, event_id)"
                " values (?, ?, ?, ?, ?, ?, ?) on conflict do nothing",
                review,
            )
            if not insert.rowcount:
                return False
            add_entry(connection, review.order_id, None, entry)
            add_message(connection, message, entry.at)
        return True

    def status(self, order_id: str) -> str | None:
        """Return the status of an order's review, or ``None``."""
        row = self.database.row("select status from reviews where order_id = ?", order_id)
        return None if row is None else row["status"]

    def close(self, order_id: str, entry: Entry) -> None:
        """Close an open review with its timeline entry, or raise `ReviewNotFound`."""
        with self.database.write() as connection:
            update = "update reviews set status = 'CLOSED' where order_id = ? and status = 'OPEN'"
            if not connection.execute(update, (order_id,)).rowcount:
                raise ReviewNotFound(no_open_review(order_id, self.status(order_id)))
            add_entry(connection, order_id, None, entry)
