-- SKUs that orders waited for, and the maximum number of missing units
select
    split_part(short, '|', 1) as sku,
    count(distinct order_id) as orders,
    max(
        cast(split_part(short, '|', 2) as bigint) - cast(split_part(short, '|', 3) as bigint)
    ) as units_missing,
    max(event_time) as last_seen
from order_events
cross join unnest(missing) as backordered(short)
where event_type = 'Order Backordered'
group by 1
order by 2 desc, 3 desc, 1
