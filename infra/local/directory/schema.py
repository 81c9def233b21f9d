"""Every SQLite table of the journal, in the orders' database (``orderflow.db``).

The services' tables are in `storage.sqlite.schema`. A change of either needs a new `VERSION` and a
step in `infra.local.directory.migrations`.
"""

VERSION = 5
"""Version of the data directory; a directory of a newer version is not opened."""

JOURNAL = """
create table if not exists directory (
    key text primary key,
    value text not null
) without rowid;
create table if not exists events (
    seq integer primary key autoincrement,
    id text not null,
    detail_type text not null,
    order_id text,
    envelope text not null,
    arrived_at real not null,
    archived integer not null
);
create index if not exists events_by_time on events (arrived_at);
create index if not exists events_by_order on events (order_id);
create index if not exists events_unarchived on events (arrived_at) where not archived;
create view if not exists sink as
    select detail_type, order_id, envelope, arrived_at from events where archived;
create view if not exists accepted as select order_id, envelope, arrived_at from events;
create table if not exists unmatched_events (
    source text not null,
    detail_type text not null,
    count integer not null,
    first_at real not null,
    last_at real not null,
    last_id text not null,
    primary key (source, detail_type)
) without rowid;
create table if not exists local_rules (
    name text primary key,
    pattern text not null,
    description text not null,
    created_at real not null
) without rowid;
create table if not exists local_targets (
    rule text not null,
    id text not null,
    kind text not null,
    address text not null,
    problem text not null default '',
    primary key (rule, id)
) without rowid;
create table if not exists local_messages (
    id integer primary key autoincrement,
    queue text not null,
    body text not null,
    sent_at real not null,
    visible_at real not null,
    receives integer not null
);
create index if not exists local_messages_by_queue on local_messages (queue, visible_at, id);
create table if not exists deliveries (
    id integer primary key autoincrement,
    event_seq integer not null,
    target text not null,
    due real not null,
    attempts integer not null,
    replay text
);
create index if not exists deliveries_by_due on deliveries (target, due, id);
create table if not exists executions (
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
create index if not exists executions_by_name on executions (machine, name);
create index if not exists executions_by_order on executions (order_id);
create index if not exists executions_running on executions (wake_at) where status = 'RUNNING';
create table if not exists execution_redrives (
    execution_id integer not null,
    number integer not null,
    at real not null,
    client_token text,
    primary key (execution_id, number)
) without rowid;
create table if not exists definitions (id text primary key, body text not null) without rowid;
create table if not exists history (
    id integer primary key,
    execution_id integer not null,
    piece blob not null
);
create index if not exists history_by_execution on history (execution_id);
create table if not exists messages (
    id integer primary key autoincrement,
    queue text not null,
    body text not null,
    sent_at real not null,
    visible_at real not null,
    receives integer not null,
    attributes text not null
);
create index if not exists messages_by_queue on messages (queue, visible_at, id);
create view if not exists awaiting_restart as
    select case when json_valid(body) then json_extract(body, '$.detail.order_id') end as order_id
    from messages where queue = 'RetryQueue';
create table if not exists schedules (
    name text primary key,
    expression text not null,
    next_at real not null
) without rowid;
create table if not exists replays (
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
create table if not exists failures (
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
create table if not exists suspects (
    kind integer not null,
    first integer not null,
    last integer not null,
    crashes integer not null,
    at real not null,
    primary key (kind, first, last)
) without rowid;
create table if not exists quarantined_orders (
    order_id text primary key,
    failures integer not null,
    held integer not null,
    reason text not null,
    at real not null
) without rowid;
create table if not exists operator_actions (
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
create index if not exists operator_actions_by_subject on operator_actions (subject);
create table if not exists letter_jobs (
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
create table if not exists letter_job_members (
    job integer not null,
    letter integer not null,
    problem text,
    primary key (job, letter)
) without rowid;
create table if not exists saved_views (
    page text not null,
    name text not null,
    query text not null,
    who text not null,
    saved_at real not null,
    primary key (page, name)
) without rowid;
create table if not exists metrics (
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
create table if not exists measures (
    minute integer not null,
    name text not null,
    label text not null,
    bucket integer not null,
    count integer not null,
    sum real not null,
    primary key (minute, name, label, bucket)
) without rowid;
"""
