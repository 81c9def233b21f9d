-- Orders by the number of times that they waited for stock
-- chart: columns
select waits, status, count(*) as orders, round(avg(seconds), 1) as average_seconds
from orders
where cast(received_at as date) between :since and :until
group by 1, 2
order by 1, 2
