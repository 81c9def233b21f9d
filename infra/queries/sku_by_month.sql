-- Shipped units and revenue of each SKU, by the month of the order
-- chart: stacked
select
    cast(date_trunc('month', placed_at) as date) as month,
    sku,
    currency,
    sum(quantity) as units,
    sum(amount) as revenue
from order_lines
where status = 'COMPLETED'
    and cast(placed_at as date) between :since and :until
    and currency like :currency
    and sku like :sku
group by 1, 2, 3
order by 1, 4 desc, 2, 3
