"""An order in a currency without decimals is charged, mailed and reported without them."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from infra.cli.order_output import amount
from infra.views.local_story import confirmation_mail, read_story
from storage.sqlite.database import Database
from tests.faults.scene import Scene
from tests.host import Host, event, order
from tests.unit.analytics.test_report_page import fact, page


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Host]:
    with Scene(tmp_path).open() as opened:
        opened.receive(TEA=10)
        yield opened


def yen(total: float, order_id: str = "T-1", currency: str = "JPY") -> dict[str, Any]:
    lines = [{"sku": "TEA", "quantity": 1, "unit_price": total}]
    return order(order_id, currency=currency, items=lines, total=total)


@pytest.mark.parametrize(
    ("currency", "total", "charged", "shown"),
    [("JPY", 500, 500, "500"), ("KRW", 9_999, 9_999, "9999"), ("USD", 12.5, 1_250, "12.50")],
)
def test_an_order_is_charged_in_the_smallest_unit_and_shown_in_its_decimals(
    machine: Host, currency: str, total: float, charged: int, shown: str
) -> None:
    machine.put(yen(total, currency=currency))
    machine.settle()
    assert machine.status() == "COMPLETED"
    sandbox = Database(str(machine.directory.sandbox), read_only=True)
    [row] = sandbox.rows("select amount, currency from gateway_charges")
    sandbox.close()
    assert tuple(row) == (charged, currency)
    mail = confirmation_mail(machine.directory, "T-1").decode()
    assert f"{currency} {shown}\r\n" in mail
    assert f"{currency} {shown}.00" not in mail
    shown_story = read_story(machine.directory, "T-1").to_json()
    assert amount(shown_story["total"], shown_story["currency"]) == f"{shown} {currency}"
    assert shown_story["payments"][0]["amount"] == total


def test_a_fraction_of_a_yen_is_quarantined_with_its_reason_and_never_charged(
    machine: Host,
) -> None:
    machine.put(yen(12.34))
    machine.settle()
    assert machine.status() is None
    [dead_letter] = machine.dead_letters()
    assert "12.34 has decimals, and JPY has none" in dead_letter["body"]


def test_a_refund_in_yen_publishes_the_full_amount(machine: Host) -> None:
    address = {"name": "A", "street": "SANDBOX FAIL", "city": "C", "country": "Y"}
    placed = yen(500)
    placed["detail"]["shipping_address"] = address
    machine.put(placed, event("Order Updated", email="b@example.com"))
    machine.settle()
    assert machine.status() == "FAILED"
    [row] = machine.rows(
        "select json_extract(envelope, '$.detail.amount') as amount from events"
        " where detail_type = 'Payment Refunded'"
    )
    assert row["amount"] == 500


def test_the_report_has_the_decimals_of_each_currency() -> None:
    facts = [
        fact("Order Completed", orders=1, units=1, money=Decimal("500.00"), currency="JPY"),
        fact("Order Completed", orders=1, units=1, money=Decimal("12.50"), currency="USD"),
    ]
    high = [
        {"order_id": "A", "customer_id": "C", "currency": "JPY", "total": Decimal("1500.00")},
        {"order_id": "B", "customer_id": "C", "currency": "USD", "total": Decimal("1500.00")},
    ]
    shown = page(*facts, high_value=high)
    for expected in ("JPY 500<", "USD 12.50", ">1,500\n", ">1,500.00\n"):
        assert expected in shown
