-- Seconds from an order's arrival to its completion, by day
select
    day,
    count(*) as orders,
    round(min(seconds), 3) as fastest,
    round(avg(seconds), 3) as average,
    round(max(case when place <= ceil(orders_of_day * 0.5) then seconds end), 3) as median,
    round(max(case when place <= ceil(orders_of_day * 0.95) then seconds end), 3) as p95,
    round(max(seconds), 3) as slowest
from (
    select
        day,
        seconds,
        row_number() over (partition by day order by seconds) as place,
        count(*) over (partition by day) as orders_of_day
    from (
        select
            cast(completed.arrived_at as date) as day,
            date_diff('millisecond', created.arrived_at, completed.arrived_at) / 1e3 as seconds
        from (
            select order_id, min(arrived_at) as arrived_at
            from order_events
            where event_type = 'Order Created'
            group by order_id
        ) as created
        join order_events as completed
            on completed.order_id = created.order_id
            and completed.event_type = 'Order Completed'
    ) as orders
) as placed
group by day
order by day
