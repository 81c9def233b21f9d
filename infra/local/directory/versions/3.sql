-- From version 2 to 3, frozen: an order says by a column of its own that it has not ended.
alter table orders rename to old_orders;
create table orders (
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
    status text not null check (status = 'RECEIVED' or status = 'RESERVED' or status = 'CHARGED'
        or status = 'COMPLETED' or status = 'WAITING' or status = 'COMPENSATING'
        or status = 'FAILED' or status = 'CANCELLED'),
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
    amended_at text,
    shipping_address text,
    email text,
    payment_token text,
    reservation text,
    charge text,
    charge_id text,
    shipment text,
    shipment_id text,
    tracking_number text,
    failure text,
    failure_message text,
    in_flight integer check (in_flight = 1),
    check ((in_flight is null)
        = (status = 'CANCELLED' or status = 'COMPLETED' or status = 'FAILED'))
) without rowid;
insert into orders
    select order_id, customer_id, currency, total, items, placed_at, content_hash, event_id,
        correlation_id, created_at, updated_at, status, epoch, version, lease_owner, lease_until,
        attempts, resume_at, waiting_for, cancel_requested, cancel_reason, cancel_event_id,
        amended_at, shipping_address, email, payment_token, reservation, charge, charge_id,
        shipment, shipment_id, tracking_number, failure, failure_message,
        iif(status in ('COMPLETED', 'FAILED', 'CANCELLED'), null, 1)
    from old_orders;
drop table old_orders;
create index orders_by_customer on orders (customer_id, created_at);
create index orders_by_time on orders (created_at);
create index orders_in_flight on orders (lease_until) where in_flight = 1;
