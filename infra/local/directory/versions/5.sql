-- The tables of version 5, frozen. infra/local/directory/migrations.py creates those that a directory
-- of version 4 lacks, and rebuilds those with a different definition.
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
    status text not null check (status = 'RECEIVED' or status = 'RESERVED' or status = 'CHARGED' or status = 'COMPLETED' or status = 'WAITING' or status = 'AWAITING_APPROVAL' or status = 'COMPENSATING' or status = 'FAILED' or status = 'CANCELLED'),
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
    check ((in_flight is null) = (status = 'CANCELLED' or status = 'COMPLETED' or status = 'FAILED'))
) without rowid;
create index orders_by_customer on orders (customer_id, created_at);
create index orders_by_time on orders (created_at);
create index orders_in_flight on orders (lease_until)
    where in_flight = 1;
create table timeline (
    order_id text not null,
    seq integer not null,
    at real not null,
    epoch integer,
    what text not null,
    detail text not null,
    primary key (order_id, seq)
) without rowid;
create index timeline_duplicates on timeline (what)
    where what = 'DUPLICATE_IGNORED';
create table early_requests (
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
create table waiting_orders (
    sku text not null,
    created_at real not null,
    order_id text not null,
    primary key (sku, created_at, order_id)
) without rowid;
create table pruned_orders (
    order_id text primary key,
    status text not null,
    pruned_at real not null,
    swept integer not null default 0
) without rowid;
create index pruned_orders_unswept on pruned_orders (order_id) where swept = 0;
create table pruned_units (
    sku text primary key,
    shipped integer not null,
    restocked integer not null
) without rowid;
create table outbox (
    id integer primary key,
    kind text not null check (kind = 'event' or kind = 'run' or kind = 'message' or kind = 'answer'),
    body text not null,
    created_at real not null
);
create table directory (
    key text primary key,
    value text not null
) without rowid;
create table events (
    seq integer primary key autoincrement,
    id text not null,
    detail_type text not null,
    order_id text,
    envelope text not null,
    arrived_at real not null,
    archived integer not null
);
create index events_by_time on events (arrived_at);
create index events_by_order on events (order_id);
create index events_unarchived on events (arrived_at) where not archived;
create view sink as
    select detail_type, order_id, envelope, arrived_at from events where archived;
create view accepted as select order_id, envelope, arrived_at from events;
create table unmatched_events (
    source text not null,
    detail_type text not null,
    count integer not null,
    first_at real not null,
    last_at real not null,
    last_id text not null,
    primary key (source, detail_type)
) without rowid;
create table local_rules (
    name text primary key,
    pattern text not null,
    description text not null,
    created_at real not null
) without rowid;
create table local_targets (
    rule text not null,
    id text not null,
    kind text not null,
    address text not null,
    problem text not null default '',
    primary key (rule, id)
) without rowid;
create table local_messages (
    id integer primary key autoincrement,
    queue text not null,
    body text not null,
    sent_at real not null,
    visible_at real not null,
    receives integer not null
);
create index local_messages_by_queue on local_messages (queue, visible_at, id);
create table deliveries (
    id integer primary key autoincrement,
    event_seq integer not null,
    target text not null,
    due real not null,
    attempts integer not null,
    replay text
);
create index deliveries_by_due on deliveries (target, due, id);
create table executions (
    id integer primary key autoincrement,
    name text not null,
    machine text not null,
    kind text not null,
    status text not null,
    definition text not null,
    order_id text,
    input text not null,
    output text,
    error text,
    cause text,
    started_at real not null,
    ended_at real,
    wake_at real
);
create index executions_by_name on executions (machine, name);
create index executions_by_order on executions (order_id);
create index executions_running on executions (wake_at) where status = 'RUNNING';
create table execution_redrives (
    execution_id integer not null,
    number integer not null,
    at real not null,
    client_token text,
    primary key (execution_id, number)
) without rowid;
create table definitions (id text primary key, body text not null) without rowid;
create table history (
    id integer primary key,
    execution_id integer not null,
    piece blob not null
);
create index history_by_execution on history (execution_id);
create table messages (
    id integer primary key autoincrement,
    queue text not null,
    body text not null,
    sent_at real not null,
    visible_at real not null,
    receives integer not null,
    attributes text not null
);
create index messages_by_queue on messages (queue, visible_at, id);
create view awaiting_restart as
    select case when json_valid(body) then json_extract(body, '$.detail.order_id') end as order_id
    from messages where queue = 'RetryQueue';
create table schedules (
    name text primary key,
    expression text not null,
    next_at real not null
) without rowid;
create table replays (
    name text primary key,
    rules text not null,
    start_at real not null,
    end_at real not null,
    state text not null,
    started_at real not null,
    ended_at real,
    replayed integer not null,
    position integer not null default 0,
    last integer not null default 0,
    last_at real,
    rate real
) without rowid;
create table failures (
    id integer primary key autoincrement,
    at real not null,
    kind text not null,
    item text not null,
    error text not null,
    message text not null,
    traceback text not null,
    count integer not null,
    unique (kind, item, error)
);
create table suspects (
    kind integer not null,
    first integer not null,
    last integer not null,
    crashes integer not null,
    at real not null,
    primary key (kind, first, last)
) without rowid;
create table quarantined_orders (
    order_id text primary key,
    failures integer not null,
    held integer not null,
    reason text not null,
    at real not null
) without rowid;
create table operator_actions (
    id integer primary key autoincrement,
    at real not null,
    actor text not null,
    action text not null,
    subject text not null,
    reason text not null,
    before text not null,
    after text not null,
    result text not null
);
create index operator_actions_by_subject on operator_actions (subject);
create table letter_jobs (
    id integer primary key autoincrement,
    action text not null,
    label text not null,
    reason text not null,
    who text not null,
    rate real,
    state text not null,
    started_at real not null,
    ended_at real,
    total integer not null,
    position integer not null,
    handled integer not null,
    refused integer not null,
    undoes integer,
    recorded integer not null
);
create table letter_job_members (
    job integer not null,
    letter integer not null,
    problem text,
    primary key (job, letter)
) without rowid;
create table saved_views (
    page text not null,
    name text not null,
    query text not null,
    who text not null,
    saved_at real not null,
    primary key (page, name)
) without rowid;
create table metrics (
    minute integer not null,
    name text not null,
    dimensions text not null,
    unit text not null,
    count integer not null,
    sum real not null,
    minimum real not null,
    maximum real not null,
    primary key (minute, name, dimensions)
) without rowid;
create table measures (
    minute integer not null,
    name text not null,
    label text not null,
    bucket integer not null,
    count integer not null,
    sum real not null,
    primary key (minute, name, label, bucket)
) without rowid;
create table stock (
    sku text primary key,
    received integer not null default 0,
    on_hand integer not null default 0,
    reserved integer not null default 0,
    shipped integer not null default 0,
    restocked integer not null default 0,
    check (0 <= reserved and reserved <= on_hand),
    check (on_hand + shipped - restocked = received)
) without rowid;
create table receipts (
    digest text primary key,
    received_at real not null,
    units integer not null
) without rowid;
create table charges (
    order_id text primary key,
    charge_id text not null,
    amount integer not null check (amount > 0),
    currency text not null,
    status text not null check (status = 'PENDING' or status = 'CHARGED' or status = 'DECLINED' or status = 'REFUNDED' or status = 'VOIDED'),
    reference text,
    opened_at real not null,
    updated_at real not null
) without rowid;
create table shipments (
    order_id text primary key,
    shipment_id text not null,
    status text not null check (status = 'CREATED' or status = 'VOIDED'),
    tracking_number text not null,
    updated_at real not null
) without rowid;
create table reviews (
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
create table mails (
    message_id text primary key,
    order_id text not null,
    sent_at real not null
) without rowid;
create table idempotency_keys (
    sender text not null,
    key text not null,
    order_id text not null,
    fingerprint text not null,
    used_at real not null,
    primary key (sender, key)
) without rowid;
create table closed_letters (
    id integer primary key,
    queue text not null,
    body text not null,
    attributes text not null,
    sent_at real not null,
    state text not null,
    kind text,
    successor text,
    replaced_by integer,
    outcome text not null,
    closed_at real not null
);
create index closed_letters_pending on closed_letters (kind)
    where state = 'PENDING';
create index closed_letters_replaced on closed_letters (replaced_by)
    where replaced_by is not null;
create table letter_log (
    id integer primary key,
    letter integer not null,
    at real not null,
    who text not null,
    what text not null,
    detail text not null
);
create index letter_log_by_letter on letter_log (letter);
create index attention_by_order on messages (iif(json_valid(body), json_extract(body, '$.order_id'), null)) where queue = 'AttentionQueue';
