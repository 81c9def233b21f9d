-- SKUs that orders waited for, and the maximum number of missing units
-- chart: bars
select
    sku,
    count(distinct order_id) as orders,
    max(units) as units_missing,
    max(last_seen) as last_seen
from (
    select event.order_id, short.sku, max(short.requested - short.available) as units, max(event.event_time) as last_seen
    from order_events as event
    cross join unnest(event.missing) as short(sku, requested, available)
    where event.event_type = 'Order Backordered' and short.sku like :sku
    group by 1, 2
) as shortages
group by 1
order by 2 desc, 3 desc, 1
