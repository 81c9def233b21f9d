-- Orders that were opened more than once with a different total
-- chart: none
select
    order_id,
    count(distinct event_id) as events,
    min(total) as smallest_total,
    max(total) as largest_total,
    min(currency) as currency
from order_events
where event_type = 'Order Created'
group by 1
having count(distinct total) > 1 or count(distinct currency) > 1
order by 1
