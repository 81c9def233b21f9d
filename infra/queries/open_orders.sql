-- Orders without an outcome, the oldest first
-- chart: none
select order_id, customer_id, status, currency, total, waits, received_at
from orders
where ended_at is null and currency like :currency
order by received_at, order_id
limit :limit
