"""The notifications' composition root; what it makes, it makes once a process."""

from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from notifications.mail import FolderMailer, SESMailer
from notifications.store import SQLiteMails
from notifications.usecases import Ports
from shared import clock
from shared.errors import InvalidSettings
from shared.settings import StoreSettings
from shared.sqlite import database


class NotificationsSettings(StoreSettings):
    """The notifications' settings."""

    mailer_url: str
    """Who delivers: ``file:///FOLDER`` (absolute) or ``ses://SENDER@DOMAIN``."""

    mail_sender: str = "orders@example.com"
    """Who the mails are from, where ``mailer_url`` does not say it."""


@cache
def ports() -> Ports:
    """Return the ports that the settings ask for."""
    settings = NotificationsSettings.from_environment()
    store = SQLiteMails(database(settings.store_url))
    url = urlsplit(settings.mailer_url)
    if url.scheme == "file" and url.path:
        mailer = FolderMailer(Path(unquote(url.path)))
        return Ports(store, mailer, settings.mail_sender, clock.now)
    if url.scheme == "ses":
        return Ports(store, SESMailer(), url.netloc or settings.mail_sender, clock.now)
    raise InvalidSettings(
        f"environment variable MAILER_URL: {settings.mailer_url!r} is neither"
        " file:///FOLDER nor ses://SENDER@DOMAIN"
    )
