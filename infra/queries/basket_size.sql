-- Orders by their number of lines, with units and average value
-- chart: columns
select
    line_count as lines,
    currency,
    count(*) as orders,
    round(avg(units), 2) as average_units,
    round(cast(sum(total) as double) / count(*), 2) as average_order
from orders
where currency like :currency
group by 1, 2
order by 1, 2
