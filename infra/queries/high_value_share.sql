-- Share of the flagged orders in the revenue, by currency
-- chart: bars
select
    currency,
    count(*) as orders,
    count(case when high_value then 1 end) as high_value,
    sum(total) as revenue,
    sum(case when high_value then total else 0 end) as high_value_revenue,
    round(100e0 * cast(sum(case when high_value then total else 0 end) as double) / cast(sum(total) as double), 2) as percent
from orders
where status = 'COMPLETED'
    and cast(ended_at as date) between :since and :until
    and currency like :currency
group by 1
order by 1
