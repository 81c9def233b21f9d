-- Refunds by day, currency and reason
-- chart: columns
select
    cast(arrived_at as date) as day,
    currency,
    reason,
    count(*) as refunds,
    sum(amount) as refunded
from order_events
where event_type = 'Payment Refunded'
    and cast(arrived_at as date) between :since and :until
    and currency like :currency
group by 1, 2, 3
order by 1, 2, 3
