"""Mailers: a folder that stands for the mail server on one machine, and Amazon SES."""

import os
from email.message import Message
from email.policy import Compat32
from pathlib import Path

from shared.errors import MailError

BOUNCING = "@bounce.example"
"""Mail to this domain is never taken by the sandbox."""

SHORT = 76
"""Characters of a header that is surely one line (RFC 5322, 2.1.1: 78)."""


class _Wire(Compat32):
    """Writes a header that needs no folding or encoding as it is, which is ten times quicker."""

    def fold_binary(self, name: str, value: str) -> bytes:
        """Return a header's line or lines."""
        if len(name) + len(value) < SHORT and value.isascii() and value.isprintable():
            return f"{name}: {value}{self.linesep}".encode()
        return super().fold_binary(name, value)


_WIRE = _Wire(linesep="\r\n")


class FolderMailer:
    """A mailer (see `notifications.usecases.Mailer`) that writes ``NAME.eml`` files.

    A file is there whole or not at all; the same name is the same file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MailError(f"the outbox {folder} cannot be made: {error}") from error

    def send(self, name: str, mail: Message) -> None:
        """Write a mail into the folder."""
        if str(mail["To"]).lower().endswith(BOUNCING):
            raise MailError(f"the sandbox takes no mail to {BOUNCING}, such as that of {name}")
        part = self.folder / f".{name}.{os.getpid()}.part"
        try:
            part.write_bytes(mail.as_bytes(policy=_WIRE))
            part.replace(self.folder / f"{name}.eml")
        except OSError as error:
            raise MailError(f"the mail {name}.eml cannot be written: {error}") from error


class SESMailer:
    """Amazon SES as a mailer."""

    def __init__(self) -> None:
        import boto3

        self.client = boto3.client("sesv2")

    def send(self, name: str, mail: Message) -> None:
        """Have SES send a mail; SES knows no names and would send it again."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self.client.send_email(
                FromEmailAddress=mail["From"],
                Destination={"ToAddresses": [mail["To"]]},
                Content={"Raw": {"Data": mail.as_bytes(policy=_WIRE)}},
            )
        except (BotoCoreError, ClientError) as error:
            raise MailError(f"SES did not take the mail of {name}: {error}") from error
