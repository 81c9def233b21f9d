-- Latest arrival of each type of event, and the lag of its delivery
-- chart: none
select
    event_type,
    count(*) as events,
    max(arrived_at) as latest,
    round(avg(date_diff('millisecond', event_time, arrived_at) / 1e3), 3) as average_lag,
    round(max(date_diff('millisecond', event_time, arrived_at) / 1e3), 3) as maximum_lag
from order_events
where origin = 'platform' and cast(arrived_at as date) between :since and :until
group by 1
order by 1
