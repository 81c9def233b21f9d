-- Every event once: of its deliveries and replays, the one that arrived first
select
    event_id,
    event_type,
    event_time,
    order_id,
    customer_id,
    currency,
    cast(total as decimal(18, 2)) as total,
    cast(amount as decimal(18, 2)) as amount,
    units,
    line_count,
    lines,
    missing,
    ship_country,
    reason,
    correlation_id,
    causation_id,
    schema_version,
    origin,
    replay_name,
    arrived_at,
    dt
from (
    select
        *,
        row_number() over (
            partition by event_id, event_type, order_id order by replay_name is not null, arrived_at, dt
        ) as delivery
    from order_events_raw
    where coalesce(origin, 'platform') <> 'external'
) as deliveries
where delivery = 1
