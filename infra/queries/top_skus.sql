-- The SKUs with the most shipped units, and their revenue
-- chart: bars
select
    sku,
    currency,
    count(distinct order_id) as orders,
    sum(quantity) as units,
    sum(amount) as revenue
from order_lines
where status = 'COMPLETED'
    and cast(ended_at as date) between :since and :until
    and currency like :currency
    and sku like :sku
group by 1, 2
order by 4 desc, 1, 2
limit :limit
