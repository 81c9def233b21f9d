-- Failed orders by reason, with the value that was not sold
-- chart: bars
select reason, currency, count(*) as orders, sum(total) as total
from orders
where status = 'FAILED'
    and cast(ended_at as date) between :since and :until
    and currency like :currency
group by 1, 2
order by 3 desc, 1, 2
