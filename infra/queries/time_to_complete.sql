-- Seconds from an order's arrival to its completion by day, with percentiles
-- chart: lines
select
    day,
    count(*) as orders,
    round(min(seconds), 3) as fastest,
    round(avg(seconds), 3) as average,
    round(max(case when place <= ceil(orders_of_day * 0.5) then seconds end), 3) as median,
    round(max(case when place <= ceil(orders_of_day * 0.9) then seconds end), 3) as p90,
    round(max(case when place <= ceil(orders_of_day * 0.95) then seconds end), 3) as p95,
    round(max(case when place <= ceil(orders_of_day * 0.99) then seconds end), 3) as p99,
    round(max(seconds), 3) as slowest
from (
    select
        cast(ended_at as date) as day,
        seconds,
        row_number() over (partition by cast(ended_at as date) order by seconds) as place,
        count(*) over (partition by cast(ended_at as date)) as orders_of_day
    from orders
    where status = 'COMPLETED' and cast(ended_at as date) between :since and :until
) as placed
group by day
order by day
