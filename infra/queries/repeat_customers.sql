-- Customers by their number of completed orders, and their revenue
-- chart: bars
select orders_each, currency, count(*) as customers, sum(revenue) as revenue
from (
    select customer_id, currency, count(*) as orders_each, sum(total) as revenue
    from orders
    where status = 'COMPLETED' and currency like :currency
    group by 1, 2
) as customers
group by 1, 2
order by 1, 2
