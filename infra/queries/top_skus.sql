-- The 20 SKUs with the most shipped units, and their revenue
select
    split_part(line, '|', 1) as sku,
    currency,
    count(distinct order_id) as orders,
    sum(cast(split_part(line, '|', 2) as bigint)) as units,
    sum(
        cast(split_part(line, '|', 2) as decimal(9, 0))
        * cast(split_part(line, '|', 3) as decimal(18, 2))
    ) as revenue
from order_events
cross join unnest(lines) as ordered(line)
where event_type = 'Order Completed'
group by 1, 2
order by 4 desc, 1, 2
limit 20
