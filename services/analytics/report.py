"""The daily report: its queries to the warehouse, and its HTML page.

A day is the day of an event's first arrival in UTC, so each event, even a late or replayed one, is
in exactly one report. An order counts once per event type and day.

The queries read the files of the day and of the day before: Firehose names a file's day after its
oldest record (Amazon Data Firehose, "Custom prefixes for S3 objects"), and EventBridge repeats a
delivery for up to a day. Only a replay repeats older events. `FIRST_REPLAYED` finds the day from
which its events may have arrived before.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from analytics import charts
from analytics.columns import PARTITION
from analytics.view import EVENTS_OF_A_DAY
from kernel.money import is_whole

Row = Mapping[str, Any]

FIRST_REPLAYED = f"""
select cast(min(cast(event_time as date)) as varchar) as first_day
from order_events_raw
where {PARTITION} between ? and ? and replay_name is not null
"""
"""Query for the earliest day of a replayed event, in the files of a first to a last day."""

_EVENTS = f"({EVENTS_OF_A_DAY}) as events"

FACTS = f"""
select
    event_type,
    hour(first_time) as hour_of_day,
    currency,
    reason,
    count(*) as orders,
    sum(units) as units,
    sum(money) as money
from (
    select
        event_type,
        order_id,
        min(arrived_at) as first_time,
        min_by(currency, arrived_at) as currency,
        min_by(reason, arrived_at) as reason,
        min_by(units, arrived_at) as units,
        min_by(coalesce(amount, total), arrived_at) as money
    from {_EVENTS}
    group by event_type, order_id
) as firsts
group by 1, 2, 3, 4
"""
"""Query by hour and ``event_type``: the number of ``orders``, their ``units`` and ``money``.

The parameters are those of `EVENTS_OF_A_DAY`; `TOP_SKUS` and `HIGH_VALUE` have the same.
"""

TOP_SKUS = f"""
select
    line.sku as sku,
    sum(line.quantity) as units
from {_EVENTS}
cross join unnest(lines) as line(sku, quantity, unit_price)
where event_type = 'Order Completed'
group by 1
order by 2 desc, 1
limit 10
"""

HIGH_VALUE = f"""
select order_id, customer_id, currency, total
from {_EVENTS}
where event_type = 'High Value Order Flagged'
order by total desc, order_id
limit 10
"""

HOURS = range(24)
MAX_CURRENCIES = 3
"""Maximum number of currencies with a chart of their own."""

_OUTCOMES = (
    ("Order Completed", "Completed", "good"),
    ("Order Failed", "Failed", "bad"),
    ("Order Cancellation Confirmed", "Cancelled", "c5"),
    ("Order Backordered", "Waited for stock", "wait"),
)


@dataclass(frozen=True, slots=True)
class Day:
    """The results of the three queries for one day."""

    day: date
    facts: Sequence[Row]
    top_skus: Sequence[Row]
    high_value: Sequence[Row]


def render(day: Day) -> str:
    """Return the report as one page of HTML."""
    body = charts.tiles(_figures(day.facts)) + _revenue(day.facts)
    body += f'<div class="pair">\n{_outcomes(day.facts)}{_top_skus(day.top_skus)}</div>\n'
    body += _high_value(day.high_value)
    subtitle = (
        f"{day.day:%A}, {day.day.day} {day.day:%B %Y}: events that arrived from 00:00 to 24:00 UTC"
    )
    return charts.page(f"Orders on {day.day.isoformat()}", subtitle, body)


def _figures(facts: Sequence[Row]) -> list[tuple[str, list[str]]]:
    def orders(event_type: str) -> list[str]:
        return [charts.number(_sum(_of(facts, event_type), "orders"))]

    return [
        ("orders received", orders("Order Created")),
        ("completed", orders("Order Completed")),
        ("failed", orders("Order Failed")),
        ("cancelled", orders("Order Cancellation Confirmed")),
        ("revenue of completed orders", _money(_of(facts, "Order Completed"))),
        ("refunded", _money(_of(facts, "Payment Refunded"))),
        ("units shipped", [charts.number(_sum(_of(facts, "Order Completed"), "units"))]),
        ("of high value", orders("High Value Order Flagged")),
    ]


def _revenue(facts: Sequence[Row]) -> str:
    """Return the charts of revenue by hour, for the currencies with the most orders."""
    completed = _of(facts, "Order Completed")
    if not completed:
        return charts.section("Revenue by hour", _nothing("No order was completed."))
    currencies = _currencies(completed)
    sections = []
    for currency in currencies[:MAX_CURRENCIES]:
        by_hour = dict.fromkeys(HOURS, 0.0)
        for row in completed:
            if row["currency"] == currency:
                by_hour[row["hour_of_day"]] += float(row["money"])
        title = f"Revenue by hour, {currency}"
        points = [(f"{hour:02d}:00", money) for hour, money in by_hour.items()]
        sections.append(charts.section(title, charts.columns(points, title)))
    if currencies[MAX_CURRENCIES:]:
        others = ", ".join(currencies[MAX_CURRENCIES:])
        sections.append(f'<p class="muted">Without a chart, for fewer orders: {others}.</p>\n')
    return "".join(sections)


def _outcomes(facts: Sequence[Row]) -> str:
    """Return the chart of the outcomes of orders, failures by reason."""
    points: list[charts.Point] = []
    tones: list[str] = []
    for event_type, name, tone in _OUTCOMES:
        rows = _of(facts, event_type)
        reasons = sorted({row["reason"] or "" for row in rows})
        counted = [
            (
                f"{name}: {reason}" if reason else name,
                _sum([row for row in rows if (row["reason"] or "") == reason], "orders"),
            )
            for reason in reasons
        ]
        points += sorted(counted, key=lambda point: -point[1])
        tones += [tone] * len(counted)
    title = "Outcomes of orders"
    if not points:
        return charts.section(title, _nothing("No order ended or waits for stock."))
    return charts.section(title, charts.bars(points, title, tones, charts.HALF))


def _top_skus(rows: Sequence[Row]) -> str:
    title = "Units shipped, top SKUs"
    if not rows:
        return charts.section(title, _nothing("Nothing was shipped."))
    points = [(str(row["sku"]), float(row["units"])) for row in rows]
    return charts.section(title, charts.bars(points, title, width=charts.HALF))


def _high_value(rows: Sequence[Row]) -> str:
    title = "Orders of high value, largest first"
    if not rows:
        return charts.section(title, _nothing("No order was flagged."))
    cells = [
        (
            row["order_id"],
            row["customer_id"],
            row["currency"],
            _shown(row["total"], row["currency"]),
        )
        for row in rows
    ]
    names = ("order", "customer", "currency", "total")
    return charts.section(title, charts.table(names, cells, (False, False, False, True)))


def _of(facts: Iterable[Row], event_type: str) -> list[Row]:
    return [row for row in facts if row["event_type"] == event_type]


def _sum(rows: Iterable[Row], column: str) -> int:
    return sum(int(row[column] or 0) for row in rows)


def _currencies(rows: Sequence[Row]) -> list[str]:
    """Return the currencies, ordered by their number of orders, largest first."""
    orders: dict[str, int] = {}
    for row in rows:
        orders[row["currency"]] = orders.get(row["currency"], 0) + row["orders"]
    return sorted(orders, key=lambda currency: (-orders[currency], currency))


def _money(rows: Sequence[Row]) -> list[str]:
    """Return an amount per currency: amounts of different currencies have no sum."""
    return [
        f"{currency} {_shown(_total(rows, currency), currency)}" for currency in _currencies(rows)
    ] or ["0"]


def _total(rows: Sequence[Row], currency: str) -> Decimal:
    return sum((row["money"] for row in rows if row["currency"] == currency), Decimal(0))


def _shown(amount: Decimal, currency: str) -> str:
    """Return an amount with the decimals of its currency."""
    has_no_decimals = is_whole(int(amount * 100), currency)
    return f"{amount:,.0f}" if has_no_decimals else f"{amount:,.2f}"


def _nothing(sentence: str) -> str:
    return f'<p class="muted">{sentence}</p>\n'
