"""The mail that asks the reviewer to decide about an order of high value."""

from html import escape
from typing import NamedTuple
from urllib.parse import quote

from kernel.approval import link_code
from kernel.email_address import to_ascii
from kernel.errors import UnmailableAddress
from kernel.idempotency import approval_mail_id
from kernel.money import text
from kernel.order_record import OrderRecord
from kernel.timestamps import timestamp
from notifications.model import Mail, html_page

_VERBS = ("approve", "reject")


class Reviewer(NamedTuple):
    """The reviewer's address, and the address of the API whose page asks; empty without one."""

    address: str
    api: str


def link_of(order_id: str, token: str, api: str) -> str:
    """Return the link to the page of a decision, or an empty text without an API."""
    if not api:
        return ""
    path = f"/approvals/{quote(order_id, safe='')}?code={link_code(order_id, token)}"
    return api.rstrip("/") + path


def approval_mail(
    record: OrderRecord, token: str, reviewer: Reviewer, sender: str, at: float
) -> Mail:
    """Return the mail; its link opens a page that asks before it acts.

    Raises
    ------
    UnmailableAddress
        No mail can be sent to the reviewer's address.
    """
    total = f"{record.currency} {text(record.total, record.currency)}"
    until = timestamp(record.approve_by or at)
    link = link_of(record.order_id, token, reviewer.api)
    return Mail(
        message_id=approval_mail_id(record.order_id),
        sender=sender,
        recipient=_recipient(reviewer.address, record.order_id),
        subject=f"Approve order {record.order_id} of {total}?",
        text=_plain(record, total, until, link),
        html=_html(record, total, until, link),
        sent_at=at,
    )


def _recipient(address: str, order_id: str) -> str:
    try:
        return to_ascii(address)
    except ValueError as error:
        raise UnmailableAddress(
            f"no mail asks about order {order_id}: the reviewer's address {error}; correct the"
            f" parameter ApprovalReviewer and redrive this letter, or decide with"
            f" `orders approve {order_id}` or `orders reject {order_id}`"
        ) from None


def _plain(record: OrderRecord, total: str, until: str, link: str) -> str:
    lines = [f"  {line.quantity} x {line.sku}" for line in record.items]
    page = [f"Decide on this page: {link}", "", "Or on the command line:"]
    decide = page if link else ["Decide on the command line:"]
    commands = [f"  orders {verb} {record.order_id} --reason TEXT" for verb in _VERBS]
    return "\n".join(
        (
            f"Order {record.order_id} of customer {record.customer_id} waits for your decision.",
            "",
            *lines,
            f"  Total {total}",
            "",
            f"It is charged after your approval only. Its units are reserved until {until};",
            "without a decision it fails then, and nothing is charged.",
            "",
            *decide,
            *commands,
            "",
        )
    )


_BODY = """\
<p>Order <strong>{order_id}</strong> of customer {customer} waits for your decision.</p>
<ul>
{lines}
</ul>
<p><strong>Total {total}</strong></p>
<p>It is charged after your approval only. Its units are reserved until {until}; without a decision
it fails then, and nothing is charged.</p>
{decide}"""


def _html(record: OrderRecord, total: str, until: str, link: str) -> str:
    order_id = escape(record.order_id)
    lines = "\n".join(
        f"<li>{line.quantity} &times; {escape(line.sku)}</li>" for line in record.items
    )
    commands = "<br>\n".join(
        f"<code>orders {verb} {order_id} --reason TEXT</code>" for verb in _VERBS
    )
    page = f'<p><a href="{escape(link)}">Open the page to decide</a></p>\n' if link else ""
    body = _BODY.format(
        order_id=order_id,
        customer=escape(record.customer_id),
        lines=lines,
        total=total,
        until=until,
        decide=f"{page}<p>{commands}</p>",
    )
    return html_page(f"Approve order {record.order_id}?", body)
