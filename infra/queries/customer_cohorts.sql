-- Customers by the month of their first completed order, and their orders in later months
-- chart: lines
select
    first_month as cohort,
    date_diff('month', first_month, month) as months_later,
    count(distinct customer_id) as customers,
    count(*) as orders
from (
    select
        customer_id,
        cast(date_trunc('month', placed_at) as date) as month,
        min(cast(date_trunc('month', placed_at) as date)) over (partition by customer_id) as first_month
    from orders
    where status = 'COMPLETED'
) as placed
group by 1, 2
order by 1, 2
