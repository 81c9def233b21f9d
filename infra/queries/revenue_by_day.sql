-- Revenue of completed orders, by day and currency
select
    cast(event_time as date) as day,
    currency,
    count(*) as orders,
    sum(units) as units,
    sum(total) as revenue
from order_events
where event_type = 'Order Completed'
group by 1, 2
order by 1, 2
