-- Rows and events by type, which shows repeated deliveries
-- chart: bars
select
    event_type,
    count(*) as delivered,
    count(distinct event_id) as events,
    count(*) - count(distinct event_id) as duplicates
from order_events_raw
group by 1
order by 1
