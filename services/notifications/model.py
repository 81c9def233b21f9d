"""The confirmation of an order, and the mail it makes; amounts in hundredths.

The parts are put together from `email.mime`: `EmailMessage` parses every header it is given, which
makes a mail four times as expensive, and all that goes into these headers is checked here.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.charset import QP, Charset
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.utils import formatdate
from html import escape

from shared.errors import MailError
from shared.money import text

_UTF8 = Charset("utf-8")
_UTF8.body_encoding = QP

_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
"""A dot-atom (RFC 5322, 3.2.3): the local parts that every mail server takes."""

_DOMAIN = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


@dataclass(frozen=True, slots=True)
class OrderedLine:
    """One line of the order."""

    sku: str
    quantity: int
    unit_price: int


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a customer is told of an order; ``address`` has one entry a line."""

    message_id: str
    order_id: str
    currency: str
    total: int
    lines: Sequence[OrderedLine]
    address: Sequence[str]


def render(confirmation: Confirmation, sender: str, recipient: str, at: float) -> Message:
    """Return the mail, the same but for its date whenever it is rendered.

    Raises
    ------
    MailError
        The recipient's address is none that mail can be sent to.
    """
    mail = MIMEMultipart("alternative", boundary=f"=_{confirmation.message_id}")
    mail["From"] = sender
    mail["To"] = _address(recipient, confirmation.order_id)
    mail["Subject"] = f"Your order {confirmation.order_id}"
    mail["Date"] = formatdate(at)
    mail["Message-ID"] = f"<{confirmation.message_id}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    for subtype, content in (("plain", _plain(confirmation)), ("html", _html(confirmation))):
        part = MIMENonMultipart("text", subtype)
        part.set_payload(content, _UTF8)
        mail.attach(part)
    return mail


def _address(recipient: str, order_id: str) -> str:
    """Return an address fit for a header: plain local part, domain in ASCII (IDNA)."""
    local, _, domain = recipient.rpartition("@")
    try:
        domain = domain.encode("idna").decode()
    except UnicodeError:
        domain = ""
    if not _LOCAL_PART.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        raise MailError(
            f"no mail can be sent to the e-mail address of order {order_id}; correct it"
        )
    return f"{local}@{domain}"


def _plain(confirmation: Confirmation) -> str:
    currency = confirmation.currency
    rows = [
        (f"{line.quantity} x {line.sku}", text(line.quantity * line.unit_price))
        for line in confirmation.lines
    ]
    rows.append(("Total", text(confirmation.total)))
    left = max(len(label) for label, _ in rows)
    right = max(len(amount) for _, amount in rows)
    table = [f"  {label:<{left}}  {currency} {amount:>{right}}" for label, amount in rows]
    address = ["", "We ship it to:", "", *(f"  {line}" for line in confirmation.address)]
    return "\n".join(
        (
            f"Thank you for your order {confirmation.order_id}.",
            "",
            *table,
            *(address if confirmation.address else ()),
            "",
        )
    )


_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Your order {order_id}</title>
<body style="font-family: sans-serif; line-height: 1.5">
<p>Thank you for your order <strong>{order_id}</strong>.</p>
<table cellpadding="4" style="border-collapse: collapse">
{rows}
<tr style="border-top: 1px solid; font-weight: bold"><td>Total<td><td align="right">{total}
</table>
{address}</body>
</html>
"""


def _html(confirmation: Confirmation) -> str:
    currency = confirmation.currency
    rows = "\n".join(
        f"<tr><td>{escape(line.sku)}<td>{line.quantity} &times; {text(line.unit_price)}"
        f'<td align="right">{currency} {text(line.quantity * line.unit_price)}'
        for line in confirmation.lines
    )
    address = "<br>\n".join(escape(line) for line in confirmation.address)
    return _PAGE.format(
        order_id=escape(confirmation.order_id),
        rows=rows,
        total=f"{currency} {text(confirmation.total)}",
        address=f"<p>We ship it to:</p>\n<p>{address}</p>\n" if address else "",
    )
