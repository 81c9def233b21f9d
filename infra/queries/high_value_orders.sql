-- Orders that were flagged for their high value, and their outcomes
-- chart: bars
select
    flagged.order_id,
    flagged.customer_id,
    flagged.currency,
    flagged.total,
    flagged.event_time as flagged_at,
    coalesce(orders.status, 'not received') as status
from order_events as flagged
left join orders on orders.order_id = flagged.order_id
where flagged.event_type = 'High Value Order Flagged' and flagged.currency like :currency
order by flagged.total desc, flagged.order_id
