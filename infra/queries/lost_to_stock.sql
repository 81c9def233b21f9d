-- Revenue of the missing units of orders that failed for stock, by SKU
-- chart: bars
select
    shortages.sku,
    prices.currency,
    count(*) as orders,
    sum(shortages.units) as units,
    sum(cast(shortages.units as decimal(9, 0)) * prices.unit_price) as lost
from (
    select event.order_id, short.sku, max(short.requested - short.available) as units
    from order_events as event
    cross join unnest(event.missing) as short(sku, requested, available)
    where event.event_type = 'Order Backordered' and short.sku like :sku
    group by 1, 2
) as shortages
join (
    select order_id, sku, currency, max(unit_price) as unit_price
    from order_lines
    where status = 'FAILED'
    group by 1, 2, 3
) as prices
    on prices.order_id = shortages.order_id and prices.sku = shortages.sku
join orders on orders.order_id = shortages.order_id and orders.reason = 'OutOfStock'
where prices.currency like :currency
group by 1, 2
order by 5 desc, 1, 2
