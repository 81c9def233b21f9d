"""A mail in its wire format (RFC 5322, MIME).

The message is built with `email.mime`: `EmailMessage` parses every header, which makes a mail four
times as expensive, and the header values were validated before.
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
    """Return a mail in the format of mail servers and ``.eml`` files."""
    message = MIMEMultipart("alternative", boundary=f"=_{mail.message_id}")
    message["From"] = mail.sender
    message["To"] = mail.recipient
    message["Subject"] = mail.subject
    message["Date"] = formatdate(mail.sent_at)
    message["Message-ID"] = f"<{mail.message_id}@{mail.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    for subtype, content in (("plain", mail.text), ("html", mail.html)):
        part = MIMENonMultipart("text", subtype)
        part.set_payload(content, _UTF8)
        message.attach(part)
    return message.as_bytes(policy=_WIRE)
