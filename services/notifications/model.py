"""The confirmation of an order, and its mail; amounts are in hundredths."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from kernel.email_address import to_ascii
from kernel.errors import UnmailableAddress
from kernel.money import text


class OrderedLine(NamedTuple):
    """One line of the order."""

    sku: str
    quantity: int
    unit_price: int


class Confirmation(NamedTuple):
    """The content of a confirmation; ``address`` has one entry per line."""

    message_id: str
    order_id: str
    currency: str
    total: int
    lines: Sequence[OrderedLine]
    address: Sequence[str]


class Mail(NamedTuple):
    """A mail; the values of its headers are valid as such."""

    message_id: str
    sender: str
    recipient: str
    subject: str
    text: str
    html: str
    sent_at: float


def render(confirmation: Confirmation, sender: str, recipient: str, at: float) -> Mail:
    """Return the mail of a confirmation; only its date depends on the time of rendering.

    Raises
    ------
    UnmailableAddress
        No mail can be sent to the recipient's address.
    """
    return Mail(
        message_id=confirmation.message_id,
        sender=sender,
        recipient=_address(recipient, confirmation.order_id),
        subject=f"Your order {confirmation.order_id}",
        text=_plain(confirmation),
        html=_html(confirmation),
        sent_at=at,
    )


def _address(recipient: str, order_id: str) -> str:
    """Return an address in ASCII, valid in a header; earlier contracts accepted others."""
    try:
        return to_ascii(recipient)
    except ValueError as error:
        raise UnmailableAddress(
            f"no mail can be sent for order {order_id}, whose e-mail address {error};"
            f" correct it with PATCH /orders/{order_id} and redrive this letter"
        ) from None


def _plain(confirmation: Confirmation) -> str:
    currency = confirmation.currency
    rows = [
        (f"{line.quantity} x {line.sku}", text(line.quantity * line.unit_price, currency))
        for line in confirmation.lines
    ]
    rows.append(("Total", text(confirmation.total, currency)))
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
<title>{title}</title>
<body style="font-family: sans-serif; line-height: 1.5">
{body}
</body>
</html>
"""

_BODY = """\
<p>Thank you for your order <strong>{order_id}</strong>.</p>
<table cellpadding="4" style="border-collapse: collapse">
{rows}
<tr style="border-top: 1px solid; font-weight: bold"><td>Total<td><td align="right">{total}
</table>
{address}"""


def html_page(title: str, body: str) -> str:
    """Return the HTML form of a mail; ``title`` is plain text, and ``body`` is HTML."""
    return _PAGE.format(title=escape(title), body=body.rstrip())


def _html(confirmation: Confirmation) -> str:
    currency = confirmation.currency
    rows = "\n".join(
        f"<tr><td>{escape(line.sku)}<td>{line.quantity} &times; {text(line.unit_price, currency)}"
        f'<td align="right">{currency} {text(line.quantity * line.unit_price, currency)}'
        for line in confirmation.lines
    )
    address = "<br>\n".join(escape(line) for line in confirmation.address)
    body = _BODY.format(
        order_id=escape(confirmation.order_id),
        rows=rows,
        total=f"{currency} {text(confirmation.total, currency)}",
        address=f"<p>We ship it to:</p>\n<p>{address}</p>\n" if address else "",
    )
    return html_page(f"Your order {confirmation.order_id}", body)
