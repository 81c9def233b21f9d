-- Refunds by day, currency and reason
select
    cast(event_time as date) as day,
    currency,
    reason,
    count(*) as refunds,
    sum(amount) as refunded
from order_events
where event_type = 'Payment Refunded'
group by 1, 2, 3
order by 1, 2, 3
