"""The marks of sent mails in SQLite, in the database of the orders."""

from kernel.order_record import Entry
from storage.sqlite.database import Database
from storage.sqlite.records import SQLiteRecords, add_entry
from storage.sqlite.schema import MAIL_MARKS


class SQLiteMails(SQLiteRecords):
    """The marks of sent mails (see `notifications.usecases.MailStore`)."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        database.define(MAIL_MARKS)

    def sent(self, message_id: str, order_id: str) -> bool:
        """Return whether this mail was sent before."""
        query = "select 1 from mails where message_id = ? and order_id = ?"
        return self.database.row(query, message_id, order_id) is not None

    def mark(self, message_id: str, order_id: str, entry: Entry) -> None:
        """Mark a mail as sent, with a timeline entry, in one transaction, once."""
        with self.database.write() as connection:
            insert = connection.execute(
                "insert into mails values (?, ?, ?) on conflict do nothing",
                (message_id, order_id, entry.at),
            )
            if insert.rowcount:
                add_entry(connection, order_id, None, entry)
