"""Every SQLite table of the services: the constants name the modules that read and write them.

`ORDERS` to `REVIEWS` are in ``orderflow.db``; the sandboxes' tables are in ``sandbox.db``, apart
from the orders, as a partner's database is. The journal's tables, also in ``orderflow.db``, are in
`infra.local.directory.schema`. DynamoDB has no schema: `storage.dynamodb.order_item` documents its
items.
"""

from collections.abc import Iterable

from kernel.order_status import ENDED, ChargeStatus, ShipmentStatus, Status


def one_of(column: str, values: Iterable[str]) -> str:
    """Return the SQL condition that a column has one of these values.

    An ``in`` with more than two values makes SQLite build a table at each write.
    """
    return " or ".join(f"{column} = '{value}'" for value in values)


ORDERS = f"""
create table if not exists orders (
    order_id text primary key,
    customer_id text not null,
    currency text not null,
    total integer not null check (total > 0),
    items text not null,
    placed_at text not null,
    content_hash text not null,
    event_id text not null,
    correlation_id text not null,
    created_at real not null,
    updated_at real not null,
    status text not null check ({one_of("status", Status)}),
    epoch integer not null,
    version integer not null,
    lease_owner text,
    lease_until real not null,
    attempts integer not null,
    resume_at real not null,
    waiting_for text,
    cancel_requested integer not null,
    cancel_reason text,
    cancel_event_id text,
    shipping_address text,
    shipping_address_as_of text,
    email text,
    email_as_of text,
    payment_token text,
    reservation text,
    charge text,
    charge_id text,
    shipment text,
    shipment_id text,
    tracking_number text,
    failure text,
    failure_message text,
    approval text,
    approval_token text,
    approve_by real,
    in_flight integer check (in_flight = 1),
    check ((in_flight is null) = ({one_of("status", sorted(ENDED))}))
) without rowid;
create index if not exists orders_by_customer on orders (customer_id, created_at);
create index if not exists orders_by_time on orders (created_at);
create index if not exists orders_in_flight on orders (lease_until)
    where in_flight = 1;
create table if not exists timeline (
    order_id text not null,
    seq integer not null,
    at real not null,
    epoch integer,
    what text not null,
    detail text not null,
    primary key (order_id, seq)
) without rowid;
create index if not exists timeline_duplicates on timeline (what)
    where what = 'DUPLICATE_IGNORED';
create table if not exists early_requests (
    order_id text not null,
    request_id text not null,
    event_id text not null,
    name text not null,
    detail text not null,
    came_at real not null,
    heard real not null,
    bus_event_id text,
    primary key (order_id, request_id)
) without rowid;
create table if not exists waiting_orders (
    sku text not null,
    created_at real not null,
    order_id text not null,
    primary key (sku, created_at, order_id)
) without rowid;
create table if not exists pruned_orders (
    order_id text primary key,
    status text not null,
    pruned_at real not null,
    swept integer not null default 0
) without rowid;
create index if not exists pruned_orders_unswept on pruned_orders (order_id) where swept = 0;
create table if not exists pruned_units (
    sku text primary key,
    shipped integer not null,
    restocked integer not null
) without rowid;
create table if not exists outbox (
    id integer primary key,
    kind text not null check ({one_of("kind", ("event", "run", "message", "answer"))}),
    body text not null,
    created_at real not null
);
"""
"""The order records, their timelines, requests before an order, the orders that wait for a SKU, the
ids of pruned orders and the sums of their units, and the outbox (`records`)."""

IDEMPOTENCY_KEYS = """
create table if not exists idempotency_keys (
    sender text not null,
    key text not null,
    order_id text not null,
    fingerprint text not null,
    used_at real not null,
    primary key (sender, key)
) without rowid;
"""
"""The HTTP clients' idempotency keys (`orders.store`)."""

INVENTORY = """
create table if not exists stock (
    sku text primary key,
    received integer not null default 0,
    on_hand integer not null default 0,
    reserved integer not null default 0,
    shipped integer not null default 0,
    restocked integer not null default 0,
    check (0 <= reserved and reserved <= on_hand),
    check (on_hand + shipped - restocked = received)
) without rowid;
create table if not exists receipts (
    digest text primary key,
    received_at real not null,
    units integer not null
) without rowid;
"""
"""Stock and its receipts (`inventory.store`)."""

LEDGER = f"""
create table if not exists charges (
    order_id text primary key,
    charge_id text not null,
    amount integer not null check (amount > 0),
    currency text not null,
    status text not null check ({one_of("status", ChargeStatus)}),
    reference text,
    opened_at real not null,
    updated_at real not null
) without rowid;
"""
"""The ledger (`payments.store`)."""

SHIPMENTS = f"""
create table if not exists shipments (
    order_id text primary key,
    shipment_id text not null,
    status text not null check ({one_of("status", ShipmentStatus)}),
    tracking_number text not null,
    updated_at real not null
) without rowid;
"""
"""Shipments (`shipping.store`)."""

MAIL_MARKS = """
create table if not exists mails (
    message_id text primary key,
    order_id text not null,
    sent_at real not null
) without rowid;
"""
"""The marks of sent mails (`notifications.store`)."""

REVIEWS = """
create table if not exists reviews (
    order_id text primary key,
    customer_id text not null,
    currency text not null,
    total integer not null,
    threshold integer not null,
    flagged_at real not null,
    event_id text not null,
    status text not null default 'OPEN',
    check (total >= threshold)
) without rowid;
"""
"""Reviews of high-value orders (`high_value.store`)."""

SANDBOX_GATEWAY = """
create table if not exists gateway_charges (
    id integer primary key,
    key text not null,
    order_id text not null,
    amount integer not null,
    currency text not null,
    token text,
    status text not null check (
        status = 'CHARGED' or status = 'DECLINED' or status = 'REFUNDED' or status = 'VOIDED'),
    charged_at real not null
);
create index if not exists gateway_charges_by_key on gateway_charges (key);
create table if not exists gateway_failures (
    key text not null,
    call text not null,
    failures integer not null,
    primary key (key, call)
) without rowid;
"""
"""The sandbox gateway's own record (`payments.gateway`)."""

SANDBOX_CARRIER = """
create table if not exists carrier_shipments (
    shipment_id text primary key,
    order_id text not null,
    status text not null check (status in ('CREATED', 'VOIDED')),
    address text
) without rowid;
create table if not exists carrier_failures (
    shipment_id text primary key,
    failures integer not null
) without rowid;
"""
"""The sandbox carrier's own record (`shipping.carrier`)."""

SANDBOX_MAILS = """
create table if not exists mail_messages (
    id integer primary key,
    name text not null unique,
    message_id text not null,
    sender text not null,
    recipient text not null,
    subject text not null,
    text text not null,
    html text not null,
    sent_at real not null
);
"""
"""The sandbox mailer's mails (`notifications.mail`)."""
