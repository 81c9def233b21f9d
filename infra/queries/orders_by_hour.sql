-- Orders by the hour of their arrival, with their outcomes
-- chart: stacked
select
    hour(received_at) as hour,
    count(case when status = 'COMPLETED' then 1 end) as completed,
    count(case when status = 'FAILED' then 1 end) as failed,
    count(case when status = 'CANCELLED' then 1 end) as cancelled,
    count(case when status in ('WAITING', 'RECEIVED') then 1 end) as still_open
from orders
where cast(received_at as date) between :since and :until
group by 1
order by 1
