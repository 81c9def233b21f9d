"""The part of the contracts' page that no schema has: times, order, facts, reasons, the sandbox."""

import re
from collections.abc import Iterable
from html import escape

import payments.gateway
from infra.contracts.snippets import BUS
from kernel.errors import (
    CarrierError,
    ChangeRefused,
    InvalidEvent,
    OrderConflict,
    OrderNotFound,
    PaymentDeclined,
)
from kernel.events import MAX_EVENT_BYTES
from orders.early_requests import RETENTION
from orders.model import OUT_OF_STOCK, UNPAID
from orders.usecases import Policy

FAILURES = {
    PaymentDeclined.__name__: "The card was refused; a new payment is a new order.",
    UNPAID: "The gateway gave no answer at any attempt; a late charge is refunded.",
    OUT_OF_STOCK: "Stock did not cover the order at any attempt.",
    "UnknownSku": "A SKU was never received in stock; it is not retried.",
    CarrierError.__name__: "The carrier did not take the shipment; the charge is refunded.",
}
"""Each ``reason`` of `Order Failed`. A defect of the platform fails no order that is paid."""

REFUSALS = {
    InvalidEvent.__name__: "A field breaks the contract, or the detail type is unknown.",
    OrderConflict.__name__: "The order id exists with other content; the first content remains.",
    ChangeRefused.__name__: "An update came too late, or a later one has changed the same field.",
    OrderNotFound.__name__: "No order came within a day of an update or a cancellation.",
}
"""Each ``reason`` of `Order Rejected`."""

_TOKEN = re.compile(r"^``(\w+)``\s+(.+)$", re.MULTILINE)


def sandbox_tokens() -> dict[str, str]:
    """Return the payment tokens of the sandbox gateway with their effects, from its own table."""
    return dict(_TOKEN.findall(payments.gateway.__doc__ or ""))


def good_to_know() -> str:
    """Return the section of the page."""
    policy = Policy()
    minutes, hours = policy.recovery_delay // 60, int(RETENTION // 3600)
    longest = policy.recovery_delay * policy.max_attempts // 60
    return f"""<section class="plain" id="good-to-know">
<h2>Good to know</h2>
<h3>How long a result takes</h3>
<p>Most orders end within a second on one machine, and within a few seconds on AWS. An order that
waits for stock or for the gateway is tried again every {minutes} minutes or so, at most
{policy.max_attempts} times, and fails after about {longest} minutes. Stock that arrives resumes it
at once. PutEvents answers before anything was read: its EventId means accepted, and no more.</p>
<h3>The order of events</h3>
<p>EventBridge orders nothing, and may deliver an event twice. Compare <code>timestamp</code>, not
arrival, and ignore a <code>metadata.event_id</code> that you have seen. <code>causation_id</code>
is the id of the event that caused a fact. A request that precedes its order is kept for {hours}
hours.</p>
<h3>Subscriptions to facts</h3>
<p>On AWS, add a rule with a target of yours to the bus <code>{BUS}</code>; each fact below has its
event pattern. On one machine, <code>orders subscribe NAME --pattern PATTERN --to
http://127.0.0.1:PORT/PATH</code> does the same, and <code>GET /orders/ORDER_ID/events</code> and
<code>GET /events/EVENT_ID</code> answer the outcome of an event. An event that no rule takes (a
misspelt source, for one) is listed by <code>orders events unmatched</code>.</p>
<h3>Unknown versions and fields</h3>
<p>Unknown fields are ignored. A <code>metadata.schema_version</code> with a newer major version
than the contract&rsquo;s is refused; a newer minor version is taken, without its new fields. An
event has at most {MAX_EVENT_BYTES // 1024} KiB.</p>
<h3>Reasons of Order Failed</h3>
{_table(("reason", "Meaning"), FAILURES.items())}
<h3>Reasons of Order Rejected</h3>
{_table(("reason", "Meaning"), REFUSALS.items())}
<h3>Tokens of the sandbox</h3>
<p>The sandbox gateway follows <code>payment_token</code>; any other token, or none, is approved.
The sandbox carrier refuses the street <code>SANDBOX FAIL</code>, and with
<code>SANDBOX FAIL 2</code> the first two calls.</p>
{_table(("payment_token", "Effect"), sandbox_tokens().items())}
</section>
"""


def _table(heads: tuple[str, str], rows: Iterable[tuple[str, str]]) -> str:
    head = "".join(f"<th>{name}" for name in heads)
    lines = "".join(
        f"<tr><td><code>{escape(name)}</code><td>{_code(meaning)}\n" for name, meaning in rows
    )
    return f'<table class="fields">\n<tr>{head}\n{lines}</table>'


def _code(text: str) -> str:
    return re.sub(r"``(.+?)``", r"<code>\1</code>", escape(text))
