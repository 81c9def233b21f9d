-- Rows that replays delivered, by replay
-- chart: bars
select
    replay_name,
    count(*) as delivered,
    count(distinct order_id) as orders,
    min(arrived_at) as first_arrival,
    max(arrived_at) as last_arrival
from order_events_raw
where replay_name is not null
group by 1
order by 4, 1
