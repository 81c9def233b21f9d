"""Reviews in SQLite, in the database of the orders."""

from high_value.model import Review
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
