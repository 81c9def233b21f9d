-- Orders that were flagged for their high value, and their outcomes
select
    flagged.order_id,
    flagged.customer_id,
    flagged.currency,
    flagged.total,
    flagged.event_time as flagged_at,
    coalesce(ended.event_type, 'not ended') as outcome
from order_events as flagged
left join order_events as ended
    on ended.order_id = flagged.order_id
    and ended.event_type in ('Order Completed', 'Order Failed', 'Order Cancellation Confirmed')
where flagged.event_type = 'High Value Order Flagged'
order by flagged.total desc, flagged.order_id
