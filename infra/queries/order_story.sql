-- Every event of one order, in the order of arrival
-- chart: none
select arrived_at, event_type, total, amount, currency, reason, origin, event_id
from order_events
where order_id like :order
order by 1, 2, 8
limit :limit
