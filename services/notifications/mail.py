"""Mailers: Amazon SES, and a sandbox that replaces the mail server on one machine."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kernel.errors import MailError
from lambda_support import aws
from notifications.model import Mail

if TYPE_CHECKING:
    from storage.sqlite.database import Database

BOUNCING = "@bounce.example"
"""Domain whose mail the sandbox always refuses."""


_COLUMNS = Mail._fields
_PUT = (
    f"insert into mail_messages (name, {', '.join(_COLUMNS)})"
    f" values (?, {', '.join('?' * len(_COLUMNS))}) on conflict (name) do update set "
    + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS)
)


class SandboxMailer:
    """A mailer (see `notifications.usecases.Mailer`) that stores mails in a database of its own.

    A file per mail would cost more than the rest of a confirmation: creating a file takes up to
    0.3 ms.
    """

    def __init__(self, database: "Database") -> None:
        from storage.sqlite.schema import SANDBOX_MAILS  # Lambda imports this module too

        self.database = database
        database.commits_first = True
        database.define(SANDBOX_MAILS)

    def send(self, name: str, mail: Mail) -> None:
        """Store a mail, or replace the mail of the same name."""
        if mail.recipient.lower().endswith(BOUNCING):
            raise MailError(f"the sandbox takes no mail to {BOUNCING}, such as that of {name}")
        with self.database.write() as connection:
            connection.execute(_PUT, (name, *mail))


def sandbox_mail(database: "Database", name: str) -> Mail | None:
    """Return the mail of a name from a sandbox's database, or `None` if it was not sent."""
    if database.row("select 1 from sqlite_master where name = 'mail_messages'") is None:
        return None
    row = database.row(f"select {', '.join(_COLUMNS)} from mail_messages where name = ?", name)
    return None if row is None else Mail(*row)


class SESMailer:
    """A mailer (see `notifications.usecases.Mailer`): Amazon SES.

    Parameters
    ----------
    client
        Returns a boto3 client of ``sesv2``. Its timeouts must fit into the function's: boto3's own
        read timeout is a minute.
    """

    def __init__(self, client: Callable[[], Any] = lambda: aws.client("sesv2")) -> None:
        self._client = client

    def send(self, name: str, mail: Mail) -> None:
        """Send a mail; SES ignores the name, so a repeated call sends the mail again."""
        from notifications.mime import to_bytes

        with aws.translate_errors(f"SES (mail {name})", "verify the sender's identity", MailError):
            self._client().send_email(
                FromEmailAddress=mail.sender,
                Destination={"ToAddresses": [mail.recipient]},
                Content={"Raw": {"Data": to_bytes(mail)}},
            )
