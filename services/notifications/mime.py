"""A mail in its wire format (RFC 5322, MIME).

The parts are put together from `email.mime`: `EmailMessage` parses every header it is given, which
makes a mail four times as expensive, and all that goes into these headers was checked before.
"""

from email.charset import QP, Charset
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.policy import compat32
from email.utils import formatdate

from notifications.model import Mail

_UTF8 = Charset("utf-8")
_UTF8.body_encoding = QP

_WIRE = compat32.clone(linesep="\r\n")


def to_bytes(mail: Mail) -> bytes:
    """Return a mail as mail servers and ``.eml`` files have it."""
    made = MIMEMultipart("alternative", boundary=f"=_{mail.message_id}")
    made["From"] = mail.sender
    made["To"] = mail.recipient
    made["Subject"] = mail.subject
    made["Date"] = formatdate(mail.sent_at)
    made["Message-ID"] = f"<{mail.message_id}@{mail.sender.rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    for subtype, content in (("plain", mail.text), ("html", mail.html)):
        part = MIMENonMultipart("text", subtype)
        part.set_payload(content, _UTF8)
        made.attach(part)
    return made.as_bytes(policy=_WIRE)
