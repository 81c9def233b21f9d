-- Orders that failed for their payment, by hour of the outcome
-- chart: columns
select
    date_trunc('hour', ended_at) as hour,
    count(*) as ended,
    count(case when reason like 'Payment%' then 1 end) as declined,
    round(100e0 * count(case when reason like 'Payment%' then 1 end) / count(*), 2) as percent
from orders
where ended_at is not null and cast(ended_at as date) between :since and :until
group by 1
order by 1
