-- Orders and revenue by country of the shipping address
-- chart: bars
select
    coalesce(ship_country, 'unknown') as country,
    currency,
    count(*) as orders,
    count(case when status = 'COMPLETED' then 1 end) as completed,
    sum(case when status = 'COMPLETED' then total else 0 end) as revenue
from orders
where cast(received_at as date) between :since and :until
    and currency like :currency
    and coalesce(ship_country, 'unknown') like :country
group by 1, 2
order by 5 desc, 1, 2
