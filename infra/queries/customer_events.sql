-- Every event of a customer's orders, also those without a customer id
-- chart: none
select
    event.arrived_at,
    event.order_id,
    event.event_type,
    event.total,
    event.amount,
    event.currency,
    event.reason
from order_events as event
join orders on orders.order_id = event.order_id
where orders.customer_id like :customer
order by 1, 2, 3
limit :limit
