-- Revenue of completed orders by day and currency, with its running total
-- chart: lines
select
    day,
    currency,
    orders,
    units,
    revenue,
    sum(revenue) over (partition by currency order by day) as running_total
from (
    select
        cast(ended_at as date) as day,
        currency,
        count(*) as orders,
        sum(units) as units,
        sum(total) as revenue
    from orders
    where status = 'COMPLETED'
        and cast(ended_at as date) between :since and :until
        and currency like :currency
    group by 1, 2
) as days
order by 1, 2
