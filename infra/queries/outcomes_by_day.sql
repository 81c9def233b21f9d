-- Ended orders by day, with the share of the completed ones
-- chart: stacked
select
    cast(ended_at as date) as day,
    count(case when status = 'COMPLETED' then 1 end) as completed,
    count(case when status = 'FAILED' then 1 end) as failed,
    count(case when status = 'CANCELLED' then 1 end) as cancelled,
    round(100e0 * count(case when status = 'COMPLETED' then 1 end) / count(*), 2) as percent
from orders
where ended_at is not null and cast(ended_at as date) between :since and :until
group by 1
order by 1
