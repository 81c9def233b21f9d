-- Orders by their status, and their total value
-- chart: bars
select
    status,
    currency,
    count(*) as orders,
    sum(total) as total
from orders
where currency like :currency
    and cast(received_at as date) between :since and :until
group by 1, 2
order by 3 desc, 1, 2
