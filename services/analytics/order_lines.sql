-- One row a line of an order
select
    orders.order_id,
    orders.customer_id,
    orders.status,
    orders.currency,
    orders.placed_at,
    orders.ended_at,
    orders.ship_country,
    line.sku,
    line.quantity,
    cast(line.unit_price as decimal(18, 2)) as unit_price,
    cast(
        cast(line.quantity as decimal(9, 0)) * cast(line.unit_price as decimal(18, 2))
        as decimal(18, 2)
    ) as amount
from (
    select
        order_id,
        lines,
        row_number() over (
            partition by order_id
            order by case when event_type = 'Order Created' then 1 else 0 end, arrived_at, event_id
        ) as place
    from order_events
    where line_count is not null
) as opened
join orders on orders.order_id = opened.order_id
cross join unnest(opened.lines) as line(sku, quantity, unit_price)
where opened.place = 1
