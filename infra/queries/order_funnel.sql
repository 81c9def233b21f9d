-- Orders by the furthest step that they reached, with the reasons of drop-off
-- chart: bars
select
    status,
    coalesce(reason, case when waits > 0 and status <> 'COMPLETED' then 'waited for stock' end, '-') as reason,
    count(*) as orders,
    round(100e0 * count(*) / sum(count(*)) over (), 2) as percent
from orders
where cast(received_at as date) between :since and :until
group by 1, 2
order by 3 desc, 1, 2
