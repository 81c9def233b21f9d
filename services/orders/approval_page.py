"""The page of the reviewer's link: it shows an order, and its form decides about it.

A mail scanner follows links, so the link alone changes nothing.
"""

from collections.abc import Mapping
from html import escape
from urllib.parse import parse_qsl

from kernel.money import text
from kernel.order_record import OrderRecord
from kernel.timestamps import timestamp

HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'",
    # the form's POST needs an Origin, which no-referrer would make null (Referrer Policy)
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif }}
body {{ margin: 2rem auto; max-width: 40rem; padding: 0 1rem }}
td {{ padding: .2rem 1rem .2rem 0 }} td + td + td {{ text-align: right }}
textarea {{ width: 100%; box-sizing: border-box; font: inherit }}
button {{ font: inherit; padding: .5rem 1.5rem; margin-right: 1rem }}
</style>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def page(title: str, *paragraphs: str) -> str:
    """Return a page of plain text."""
    body = "\n".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs)
    return _PAGE.format(title=escape(title), body=body)


def invalid_link(reason: str) -> str:
    """Return the page of a link by which nothing can be decided."""
    return page("This link is not valid any more", reason)


def fields_of(form: str) -> dict[str, str]:
    """Return the fields of a form as a browser sends it."""
    return dict(parse_qsl(form))


def question(record: OrderRecord, code: str) -> str:
    """Return the page that asks about an order."""
    currency = record.currency
    rows = "\n".join(
        f"<tr><td>{escape(line.sku)}<td>{line.quantity} &times; "
        f"{text(line.unit_price, currency)}<td>{text(line.quantity * line.unit_price, currency)}"
        for line in record.items
    )
    body = f"""\
<p>Customer {escape(record.customer_id)} ordered {escape(record.placed_at)}:</p>
<table>
{rows}
<tr><td><strong>Total</strong><td>{currency}<td><strong>{text(record.total, currency)}</strong>
</table>
<p>The order is charged after an approval only. Its units are reserved until
{timestamp(record.approve_by or 0.0)}; without a decision it fails then, and nothing is charged.</p>
<form method="post">
<input type="hidden" name="code" value="{escape(code)}">
<p><label for="reason">Reason (the history of the order shows it)</label>
<textarea id="reason" name="reason" rows="3" maxlength="1000"></textarea></p>
<p><button name="decision" value="approve">Approve</button>
<button name="decision" value="reject">Reject</button></p>
</form>"""
    return _PAGE.format(title=f"Approve order {escape(record.order_id)}?", body=body)


def decided(record: OrderRecord, *, approved: bool) -> str:
    """Return the page after a decision."""
    if approved:
        return page(f"Order {record.order_id} is approved", "It is charged and shipped now.")
    outcome = "It fails without a charge, and its units are released."
    return page(f"Order {record.order_id} is rejected", outcome)
