"""The notifications' composition root; each function builds its ports once."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kernel import clock
from kernel.errors import InvalidSettings
from lambda_support.settings import PerFunction, StoreSettings
from notifications.approval_mail import Reviewer
from notifications.mail import SandboxMailer, SESMailer
from notifications.usecases import MailStore, Ports
from storage.stores import open_store

if TYPE_CHECKING:
    from storage.dynamodb.table import Table
    from storage.sqlite.database import Database


class NotificationsSettings(StoreSettings):
    """The notifications' settings."""

    mailer_url: str
    """The mail server: the sandbox, ``sqlite:///PATH``, or Amazon SES, ``ses://SENDER@DOMAIN``."""

    mail_sender: str = "orders@example.com"
    """The sender of the mails, if ``mailer_url`` has none."""

    approval_reviewer: str = ""
    """The address of the person who decides about orders of high value; empty sends no mail."""

    api_url: str = ""
    """The address of the API, for links in the reviewer's mails; empty for mails without one."""

    quarantine_queue_url: str = ""
    """The queue of confirmations that fail at every retry."""


@PerFunction
def ports() -> Ports:
    """Return the ports of the use cases, by the settings."""
    settings = NotificationsSettings.from_environment()
    store = open_store(settings.store_url, _sqlite, _dynamodb)
    url, quarantine = urlsplit(settings.mailer_url), settings.quarantine_queue_url
    if url.scheme == "sqlite":
        from storage.sqlite.database import database

        mailer = SandboxMailer(database(settings.mailer_url))
        return Ports(store, mailer, settings.mail_sender, clock.now, quarantine)
    if url.scheme == "ses":
        sender = url.netloc or settings.mail_sender
        return Ports(store, SESMailer(), sender, clock.now, quarantine)
    raise InvalidSettings(
        f"environment variable MAILER_URL: {settings.mailer_url!r} is neither"
        " sqlite:///PATH nor ses://SENDER@DOMAIN"
    )


@PerFunction
def reviewer() -> Reviewer:
    """Return the reviewer, by the settings."""
    settings = NotificationsSettings.from_environment()
    return Reviewer(settings.approval_reviewer, settings.api_url)


def _sqlite(database: "Database") -> MailStore:
    from notifications.store import SQLiteMails

    return SQLiteMails(database)


def _dynamodb(table: "Table") -> MailStore:
    from notifications.dynamodb import DynamoMails

    return DynamoMails(table)
