-- The orders that took the longest to their outcome
-- chart: bars
select order_id, status, reason, waits, round(seconds, 3) as seconds, received_at, ended_at
from orders
where seconds is not null and cast(ended_at as date) between :since and :until
order by seconds desc, order_id
limit :limit
