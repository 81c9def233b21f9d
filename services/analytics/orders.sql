-- One row an order: of two events that open it, the total of the one that the platform processed
select
    order_id,
    max(case when place = 1 then customer_id end) as customer_id,
    case
        when bool_or(event_type = 'Order Completed') then 'COMPLETED'
        when bool_or(event_type = 'Order Failed') then 'FAILED'
        when bool_or(event_type = 'Order Cancellation Confirmed') then 'CANCELLED'
        when bool_or(event_type = 'Order Backordered') then 'WAITING'
        else 'RECEIVED'
    end as status,
    max(case when event_type = 'Order Failed' then reason end) as reason,
    max(case when place = 1 then currency end) as currency,
    max(case when place = 1 then total end) as total,
    max(case when place = 1 then units end) as units,
    max(case when place = 1 then line_count end) as line_count,
    max(case when occurrence = 1 then ship_country end) as ship_country,
    min(case when event_type = 'Order Created' and occurrence = 1 then event_time end) as placed_at,
    min(case when event_type = 'Order Created' then arrived_at end) as received_at,
    min(case when is_outcome then arrived_at end) as ended_at,
    date_diff(
        'millisecond',
        min(case when event_type = 'Order Created' then arrived_at end),
        min(case when is_outcome then arrived_at end)
    ) / 1e3 as seconds,
    count(case when event_type = 'Order Backordered' then 1 end) as waits,
    cast(coalesce(sum(amount), 0) as decimal(18, 2)) as refunded,
    bool_or(event_type = 'High Value Order Flagged') as high_value
from (
    select
        *,
        event_type in ('Order Completed', 'Order Failed', 'Order Cancellation Confirmed') as is_outcome,
        row_number() over (
            partition by order_id, event_type order by arrived_at, event_id
        ) as occurrence,
        row_number() over (
            partition by order_id
            order by
                case when line_count is null then 2 when event_type = 'Order Created' then 1 else 0 end,
                arrived_at,
                event_id
        ) as place
    from order_events
) as events
group by order_id
having bool_or(line_count is not null)
