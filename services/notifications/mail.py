"""Mailers: a sandbox that stands for the mail server on one machine, and Amazon SES."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from kernel.errors import MailError
from lambda_support import aws
from notifications.model import Mail

if TYPE_CHECKING:
    from storage.sqlite.database import Database

BOUNCING = "@bounce.example"
"""Mail to this domain is never taken by the sandbox."""


_COLUMNS = Mail._fields
_PUT = (
    f"insert into mail_messages (name, {', '.join(_COLUMNS)})"
    f" values (?, {', '.join('?' * len(_COLUMNS))}) on conflict (name) do update set "
    + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS)
)


class SandboxMailer:
    """A mailer (see `notifications.usecases.Mailer`) that keeps mails in a database of its own.

    A file each would cost more than all the rest of a confirmation: making one takes a file system
    up to 0.3 ms.
    """

    def __init__(self, database: "Database") -> None:
        from storage.sqlite.schema import SANDBOX_MAILS  # Lambda imports this module too

        self.database = database
        database.commits_first = True
        database.define(SANDBOX_MAILS)

    def send(self, name: str, mail: Mail) -> None:
        """Keep a mail; the same name is the same mail."""
        if mail.recipient.lower().endswith(BOUNCING):
            raise MailError(f"the sandbox takes no mail to {BOUNCING}, such as that of {name}")
        with self.database.write() as connection:
            connection.execute(_PUT, (name, *mail))


def sandbox_mail(database: "Database", name: str) -> Mail | None:
    """Return the mail of a name from a sandbox's database, if it was sent."""
    if database.row("select 1 from sqlite_master where name = 'mail_messages'") is None:
        return None
    row = database.row(f"select {', '.join(_COLUMNS)} from mail_messages where name = ?", name)
    return None if row is None else Mail(*row)


class SESMailer:
    """Amazon SES as a mailer."""

    @cached_property
    def client(self) -> Any:
        """The client, made for the first mail."""
        import boto3

        return boto3.client("sesv2")

    def send(self, name: str, mail: Mail) -> None:
        """Have SES send a mail; SES knows no names and would send it again."""
        from notifications.mime import to_bytes

        with aws.translate_errors(f"SES (mail {name})", "verify the sender's identity", MailError):
            self.client.send_email(
                FromEmailAddress=mail.sender,
                Destination={"ToAddresses": [mail.recipient]},
                Content={"Raw": {"Data": to_bytes(mail)}},
            )
