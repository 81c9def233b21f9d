-- Orders by their status, and their total value
select
    status,
    currency,
    count(*) as orders,
    sum(total) as total
from (
    select
        order_id,
        max(case when place = 1 then currency end) as currency,
        max(case when place = 1 then total end) as total,
        case
            when bool_or(event_type = 'Order Completed') then 'COMPLETED'
            when bool_or(event_type = 'Order Failed') then 'FAILED'
            when bool_or(event_type = 'Order Cancellation Confirmed') then 'CANCELLED'
            when bool_or(event_type = 'Order Backordered') then 'WAITING'
            else 'RECEIVED'
        end as status
    from (
        -- two events may open one order, and the first counts: the platform's own events have its total
        select
            order_id,
            event_type,
            currency,
            total,
            row_number() over (
                partition by order_id
                order by
                    case event_type when 'Order Created' then 1 else 0 end,
                    arrived_at,
                    event_id
            ) as place
        from order_events
        where total is not null and event_type <> 'High Value Order Flagged'
    ) as opened
    group by order_id
) as orders
group by 1, 2
order by 3 desc, 1, 2
