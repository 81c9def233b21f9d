-- Pairs of SKUs that customers ordered together most often
-- chart: bars
select
    one.sku as sku,
    other.sku as with_sku,
    count(distinct one.order_id) as orders
from order_lines as one
join order_lines as other on other.order_id = one.order_id and other.sku > one.sku
where one.sku like :sku or other.sku like :sku
group by 1, 2
order by 3 desc, 1, 2
limit :limit
