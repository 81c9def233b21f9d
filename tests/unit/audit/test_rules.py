"""The rules of one order and of the stock: valid and invalid states after a write."""

from typing import Any

import pytest

from infra.audit.findings import SHOWN, Finding, Findings, Invariant
from infra.audit.rules import StockBook, check_order
from kernel.order_record import ChargeStatus, Line, OrderRecord, Reservation, ShipmentStatus, Status
from payments.model import charge_id
from shipping.model import shipment_id
from tests.fakes.records import order

C, U, S = ChargeStatus, Reservation, ShipmentStatus
TRACKING = "SBX1"


def state(
    status: str,
    charge: ChargeStatus | None,
    units: Reservation | None,
    shipment: ShipmentStatus | None,
) -> OrderRecord:
    return order(
        status=Status(status),
        charge=charge,
        charge_id=charge and charge_id("A-1"),
        reservation=units,
        shipment=shipment,
        shipment_id=shipment and shipment_id("A-1"),
        tracking_number=TRACKING if shipment is S.CREATED else None,
    )


def found(record: OrderRecord, **changes: Any) -> list[Finding]:
    """Check a record with its own ledger entry and shipment, altered by ``changes``."""
    charge: Any = record.charge and {
        "charge_id": record.charge_id,
        "status": record.charge,
        "amount": record.total,
        "currency": record.currency,
        **changes,
    }
    shipment: Any = record.shipment and {
        "shipment_id": record.shipment_id,
        "status": record.shipment,
        "tracking_number": TRACKING,
        **changes,
    }
    return list(
        check_order(record, changes.get("charge", charge), changes.get("shipment", shipment))
    )


LIVES = [
    ("RECEIVED", None, None, None),
    ("RESERVED", None, U.RESERVED, None),
    ("RESERVED", C.PENDING, U.RESERVED, None),
    ("RESERVED", C.DECLINED, U.RESERVED, None),
    ("CHARGED", C.CHARGED, U.RESERVED, None),
    ("CHARGED", C.CHARGED, U.COMMITTED, None),
    ("CHARGED", C.CHARGED, U.RESERVED, S.CREATED),
    ("CHARGED", C.CHARGED, U.COMMITTED, S.CREATED),
    ("COMPLETED", C.CHARGED, U.COMMITTED, S.CREATED),
    ("WAITING", None, None, None),
    ("WAITING", C.PENDING, U.RESERVED, None),
    ("WAITING", C.CHARGED, U.RESERVED, None),
    ("COMPENSATING", C.PENDING, U.RESERVED, None),
    ("COMPENSATING", C.CHARGED, U.COMMITTED, S.CREATED),
    ("COMPENSATING", C.CHARGED, U.COMMITTED, S.VOIDED),
    ("COMPENSATING", C.REFUNDED, U.RESTOCKED, S.VOIDED),
    ("COMPENSATING", C.VOIDED, U.RELEASED, S.VOIDED),
    ("FAILED", None, None, None),
    ("FAILED", C.DECLINED, U.RELEASED, None),
    ("FAILED", C.REFUNDED, U.RESTOCKED, S.VOIDED),
    ("CANCELLED", None, None, None),
    ("CANCELLED", C.VOIDED, U.RELEASED, S.VOIDED),
    ("CANCELLED", C.REFUNDED, U.RELEASED, S.VOIDED),
]


@pytest.mark.parametrize("life", LIVES)
def test_every_state_of_an_orders_life_is_sound(life: Any) -> None:
    assert found(state(*life)) == []


@pytest.mark.parametrize(
    ("life", "invariant", "problem"),
    [
        (("RECEIVED", C.CHARGED, None, None), "Money", "it is RECEIVED, and its charge is CHARGED"),
        (("RESERVED", C.CHARGED, U.RESERVED, None), "Money", "it is RESERVED, and its charge is"),
        (("CHARGED", C.PENDING, U.RESERVED, None), "Money", "it is CHARGED, and its charge is"),
        (("CHARGED", None, U.RESERVED, None), "Money", "its charge is None"),
        (("COMPLETED", C.REFUNDED, U.COMMITTED, S.CREATED), "Money", "its charge is REFUNDED"),
        (("COMPLETED", None, U.COMMITTED, S.CREATED), "Money", "its charge is None"),
        (("FAILED", C.CHARGED, U.RESTOCKED, S.VOIDED), "Money", "it is FAILED, and its charge is"),
        (("FAILED", C.PENDING, U.RELEASED, None), "Money", "its charge is PENDING"),
        (("CANCELLED", C.CHARGED, U.RESTOCKED, S.VOIDED), "Money", "its charge is CHARGED"),
        (("RECEIVED", None, U.RESERVED, None), "Stock", "its units are RESERVED"),
        (("RESERVED", None, None, None), "Stock", "its units are None"),
        (("CHARGED", C.CHARGED, U.RELEASED, None), "Stock", "its units are RELEASED"),
        (("COMPLETED", C.CHARGED, U.RESERVED, S.CREATED), "Stock", "its units are RESERVED"),
        (("FAILED", C.REFUNDED, U.COMMITTED, S.VOIDED), "Stock", "its units are COMMITTED"),
        (("CANCELLED", None, U.RESERVED, None), "Stock", "its units are RESERVED"),
        (("COMPLETED", C.CHARGED, U.COMMITTED, None), "Shipment", "its shipment is None"),
        (("COMPLETED", C.CHARGED, U.COMMITTED, S.VOIDED), "Shipment", "its shipment is VOIDED"),
        (("FAILED", C.REFUNDED, U.RESTOCKED, S.CREATED), "Shipment", "it is shipped, and its"),
        (("RESERVED", None, U.RESERVED, S.CREATED), "Shipment", "it is shipped, and its charge"),
        (("COMPENSATING", C.REFUNDED, U.COMMITTED, S.CREATED), "Shipment", "it is shipped, and"),
        (("CHARGED", C.CHARGED, U.RESERVED, S.VOIDED), "Shipment", "its shipment is VOIDED"),
    ],
)
def test_a_state_that_breaks_an_invariant_is_reported(
    life: Any, invariant: str, problem: str
) -> None:
    [first, *_] = [finding for finding in found(state(*life)) if finding.invariant == invariant]
    assert first.subject == "order A-1"
    assert problem in first.problem
    assert first.remedy


PAID = state("COMPLETED", C.CHARGED, U.COMMITTED, S.CREATED)


@pytest.mark.parametrize(
    ("changes", "invariant", "problem"),
    [
        ({"charge": None}, "Money", "its charge is CHARGED, and the ledger has None"),
        ({"amount": 3701}, "Money", "its total is EUR 37.00, and the ledger has EUR 37.01"),
        ({"currency": "USD"}, "Money", "the ledger has USD 37.00"),
        ({"charge_id": "other"}, "Money", "the ledger has other"),
        ({"shipment": None}, "Shipment", "its shipment is CREATED, and the shipments have None"),
        ({"shipment_id": "other"}, "Shipment", "the shipments have other"),
        ({"tracking_number": "SBX2"}, "Shipment", "the shipments have SBX2"),
    ],
)
def test_a_deviating_ledger_or_shipment_is_reported(
    changes: dict[str, Any], invariant: str, problem: str
) -> None:
    [only] = found(PAID, **changes)
    assert only.invariant == invariant
    assert problem in only.problem


def test_an_order_has_one_charge_and_one_shipment_even_if_both_books_agree_on_others() -> None:
    twice = PAID._replace(charge_id="second", shipment_id="second")
    assert {finding.invariant for finding in found(twice)} == {Invariant.MONEY, Invariant.SHIPMENT}


# ---- stock


def counts(sku: str, **fields: int) -> dict[str, Any]:
    values = {"received": 10, "on_hand": 10, "reserved": 0, "shipped": 0, "restocked": 0, **fields}
    return {"sku": sku, **values}


def book(*orders: tuple[str, Reservation | None, int]) -> StockBook:
    stock_book = StockBook()
    for sku, units, quantity in orders:
        stock_book.add(order(items=(Line(sku, quantity, 100),), reservation=units))
    return stock_book


def test_counts_that_follow_from_the_orders_are_sound() -> None:
    stock_book = book(
        ("TEA", None, 9),
        ("TEA", U.RESERVED, 2),
        ("TEA", U.COMMITTED, 3),
        ("TEA", U.RELEASED, 9),
        ("TEA", U.RESTOCKED, 1),
    )
    tea = counts("TEA", on_hand=7, reserved=2, shipped=4, restocked=1)
    assert list(stock_book.check([tea, counts("CUP")], 20)) == []


@pytest.mark.parametrize(
    ("tea", "problem"),
    [
        ({"reserved": 1}, "1 units are reserved, and by the orders 0 are"),
        ({"on_hand": 9, "shipped": 1}, "1 units are shipped, and by the orders 0 are"),
        ({"on_hand": 11, "restocked": 1}, "1 units are restocked, and by the orders 0 are"),
        ({"reserved": 11}, "11 units are reserved, and 10 are on hand"),
        ({"reserved": -1}, "-1 units are reserved, and 10 are on hand"),
        ({"on_hand": 9}, "10 units were received, and 9 on hand + 0 shipped - 0 restocked are 9"),
        ({"on_hand": 11, "shipped": -1}, "10 units were received, and 11 on hand"),
        ({"received": 11, "on_hand": 11}, "its counts have received 11 units, and the stock files"),
    ],
)
def test_counts_that_do_not_follow_from_the_orders_are_reported(
    tea: dict[str, int], problem: str
) -> None:
    [first, *_] = book().check([counts("TEA", **tea)], 10)
    assert problem in first.problem
    assert first.invariant is Invariant.STOCK


def test_units_of_a_sku_without_counts_are_reported() -> None:
    [only] = book(("TEA", U.RESERVED, 2)).check([], 0)
    assert (only.subject, only.problem) == (
        "SKU TEA",
        "0 units are reserved, and by the orders 2 are",
    )


def test_the_first_findings_are_shown_and_all_are_counted() -> None:
    findings = Findings()
    findings.add(Finding(Invariant.MONEY, f"order {n}", "p", "m") for n in range(SHOWN + 5))
    findings.add([Finding(Invariant.STOCK, "SKU TEA", "p", "m")])
    assert [finding.subject for finding in findings.first] == [f"order {n}" for n in range(SHOWN)]
    assert findings.number == SHOWN + 6
    assert findings.counts == {Invariant.MONEY: SHOWN + 5, Invariant.STOCK: 1}
