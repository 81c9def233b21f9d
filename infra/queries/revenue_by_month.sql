-- Revenue of completed orders by the month in which the customer ordered
-- chart: columns
select
    cast(date_trunc('month', placed_at) as date) as month,
    currency,
    count(*) as orders,
    sum(total) as revenue,
    round(cast(sum(total) as double) / count(*), 2) as average_order
from orders
where status = 'COMPLETED'
    and cast(placed_at as date) between :since and :until
    and currency like :currency
group by 1, 2
order by 1, 2
