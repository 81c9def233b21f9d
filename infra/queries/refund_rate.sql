-- Share of charged orders that were refunded, by currency
-- chart: bars
select
    currency,
    count(*) as charged,
    count(case when refunded > 0 then 1 end) as refunds,
    sum(refunded) as refunded,
    round(100e0 * count(case when refunded > 0 then 1 end) / count(*), 2) as percent
from orders
where (status = 'COMPLETED' or refunded > 0)
    and cast(received_at as date) between :since and :until
    and currency like :currency
group by 1
order by 1
