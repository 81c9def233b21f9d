-- Orders by where they are now, and what they are worth
select
    status,
    currency,
    count(*) as orders,
    sum(total) as total
from (
    select
        order_id,
        min_by(currency, arrived_at) as currency,
        min_by(total, arrived_at) as total,
        case
            when bool_or(event_type = 'Order Completed') then 'COMPLETED'
            when bool_or(event_type = 'Order Failed') then 'FAILED'
            when bool_or(event_type = 'Order Cancellation Confirmed') then 'CANCELLED'
            when bool_or(event_type = 'Order Backordered') then 'WAITING'
            else 'RECEIVED'
        end as status
    from order_events
    where total is not null
    group by order_id
) as orders
group by 1, 2
order by 3 desc, 1, 2
