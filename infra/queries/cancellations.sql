-- Requests to cancel by their answer, and the reason of refusals
-- chart: bars
select
    event_type as answer,
    coalesce(reason, '-') as reason,
    count(*) as answers,
    count(distinct order_id) as orders
from order_events
where event_type in ('Order Cancellation Confirmed', 'Order Cancellation Refused')
    and cast(arrived_at as date) between :since and :until
group by 1, 2
order by 1, 3 desc, 2
