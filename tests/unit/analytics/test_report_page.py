"""The page shows a day's figures and is self-contained."""

import re
from datetime import date
from decimal import Decimal
from typing import Any

from analytics.report import Day, render


def fact(event_type: str, **more: Any) -> dict[str, Any]:
    """Return a row of the facts: one order of 10 dollars at nine."""
    row = {"hour_of_day": 9, "currency": "USD", "reason": None, "orders": 1, "units": 1}
    return {"event_type": event_type, "money": Decimal("10.00"), **row, **more}


def page(*facts: dict[str, Any], **more: Any) -> str:
    answers = {"top_skus": [], "high_value": [], **more}
    return render(Day(date(2026, 1, 31), facts, **answers))


def tile(text: str, label: str) -> list[str]:
    """Return the figures of a tile."""
    found = re.search(rf'<div class="tile">((?:<b>[^<]*</b>)+)<span>{label}</span>', text)
    assert found is not None
    return re.findall("<b>([^<]*)</b>", found[1])


def test_the_figures_are_sums_over_the_hours() -> None:
    text = page(
        fact("Order Created", orders=3),
        fact("Order Created", orders=2000, hour_of_day=10),
        fact("Order Completed", orders=2, units=7, money=Decimal("1000.50")),
        fact("Order Completed", orders=1, units=5, money=Decimal("0.25"), hour_of_day=23),
        fact("Order Failed", reason="OutOfStock"),
        fact("Order Cancellation Confirmed", orders=4),
        fact("Payment Refunded", money=Decimal("99.90")),
        fact("High Value Order Flagged", orders=6),
    )
    assert tile(text, "orders received") == ["2,003"]
    assert tile(text, "completed") == ["3"]
    assert tile(text, "failed") == ["1"]
    assert tile(text, "cancelled") == ["4"]
    assert tile(text, "revenue of completed orders") == ["USD 1,000.75"]
    assert tile(text, "refunded") == ["USD 99.90"]
    assert tile(text, "units shipped") == ["12"]
    assert tile(text, "of high value") == ["6"]


def test_amounts_of_two_currencies_are_never_added() -> None:
    text = page(
        fact("Order Completed", currency="EUR"), fact("Order Completed", currency="USD", orders=2)
    )
    assert tile(text, "revenue of completed orders") == ["USD 10.00", "EUR 10.00"]
    assert "Revenue by hour, EUR" in text
    assert "Revenue by hour, USD" in text


def test_currencies_after_the_third_are_named_without_a_chart() -> None:
    currencies = ["USD", "EUR", "GBP", "CHF"]
    text = page(
        *(
            fact("Order Completed", currency=one, orders=9 - place)
            for place, one in enumerate(currencies)
        )
    )
    assert text.count("<h2>Revenue by hour") == 3
    assert "for fewer orders: CHF." in text


def test_every_hour_has_its_place_in_the_chart() -> None:
    text = page(fact("Order Completed", hour_of_day=0), fact("Order Completed", hour_of_day=23))
    assert re.findall(r"<title>(\d\d):00: (\d+)</title>", text) == [
        (f"{hour:02d}", "10" if hour in (0, 23) else "0") for hour in range(24)
    ]


def test_outcomes_are_shown_by_reason_most_frequent_first() -> None:
    text = page(
        fact("Order Failed", reason="OutOfStock"),
        fact("Order Failed", reason="PaymentDeclined", orders=5),
        fact("Order Backordered", orders=2),
    )
    assert re.findall(r"<title>([^<]+: \d+)</title>", text) == [
        "Failed: PaymentDeclined: 5",
        "Failed: OutOfStock: 1",
        "Waited for stock: 2",
    ]


def test_orders_of_high_value_and_top_skus_are_listed() -> None:
    large = {"order_id": "A-1", "customer_id": "C-9", "currency": "USD", "total": Decimal(1200)}
    text = page(high_value=[large], top_skus=[{"sku": "TEA-GREEN", "units": 1234}])
    assert '<td>A-1<td>C-9<td>USD<td class="number">1,200.00' in text
    assert "<title>TEA-GREEN: 1,234</title>" in text


def test_a_day_without_events_has_a_sentence_per_section() -> None:
    text = page()
    assert tile(text, "orders received") == ["0"]
    for sentence in ("No order was completed.", "Nothing was shipped.", "No order was flagged."):
        assert sentence in text


def test_the_page_is_self_contained_and_follows_the_readers_colours() -> None:
    text = page(fact("Order Completed"))
    assert not re.search(r"(src|href|@import|url\()", text)
    assert "prefers-color-scheme: dark" in text
    assert "<title>Orders on 2026-01-31</title>" in text


def test_text_of_the_data_is_never_markup() -> None:
    text = page(
        fact("Order Failed", reason="<script>"),
        top_skus=[{"sku": "<script>", "units": 1}],
        high_value=[
            {"order_id": "<script>", "customer_id": "<b", "currency": "<", "total": Decimal(1)}
        ],
    )
    assert "<script>" not in text
