-- Facts that another sender stated, which no view and no figure has
-- chart: bars
select event_type, count(*) as events, count(distinct order_id) as orders, max(arrived_at) as latest
from order_events_raw
where origin = 'external'
group by 1
order by 1
