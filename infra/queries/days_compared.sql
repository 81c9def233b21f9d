-- A day compared with the day before: orders, outcomes and revenue
-- chart: bars
select
    cast(ended_at as date) as day,
    currency,
    count(*) as ended,
    count(case when status = 'COMPLETED' then 1 end) as completed,
    count(case when status = 'FAILED' then 1 end) as failed,
    count(case when status = 'CANCELLED' then 1 end) as cancelled,
    sum(case when status = 'COMPLETED' then total else 0 end) as revenue,
    sum(refunded) as refunded
from orders
where cast(ended_at as date) between date_add('day', -1, :day) and :day
    and currency like :currency
group by 1, 2
order by 1, 2
