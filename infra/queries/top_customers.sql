-- The customers with the most revenue
-- chart: bars
select customer_id, currency, count(*) as orders, sum(total) as revenue
from orders
where status = 'COMPLETED'
    and cast(ended_at as date) between :since and :until
    and currency like :currency
group by 1, 2
order by 4 desc, 1, 2
limit :limit
