"""A rehearsal fails at any unknown difference."""

from tests.e2e.scenarios import SITUATIONS
from tests.rehearsal import comparison
from tests.rehearsal.comparison import Difference, Row, reason
from tests.rehearsal.outcome import Outcome

HERE = Outcome("A → B", "COMPLETED", "Order Completed", "CHARGED 12.50 (gateway: CHARGED)", "TEA")
THERE = Outcome("A → C", "COMPLETED", "Order Completed", "CHARGED 12.50 (gateway: CHARGED)", "TEA")


def test_differences_are_found_field_by_field() -> None:
    rows = comparison.rows("mail bounces", HERE, THERE)
    assert [row.field for row in rows] == ["paths", "status", "events", "charges", "stock"]
    assert [row.field for row in rows if row.differs] == ["paths"]


def test_an_order_that_one_side_lacks_differs() -> None:
    rows = comparison.rows_of_orders({"G-1": "completed"}, {"G-1": HERE}, {})
    assert {row.field for row in rows if row.differs} >= {"paths", "status", "events", "charges"}


def test_a_known_difference_applies_to_its_case_field_and_value() -> None:
    known = [Difference("generated: *", "paths", "A → *", "because")]
    row = Row("generated: declined", "G-1", "paths", "A → B", "A → C")
    assert reason(row, known) == "because"
    for other in (
        Row("mail bounces", "", "paths", "A → B", "A → C"),
        Row("generated: declined", "G-1", "status", "A → B", "A → C"),
        Row("generated: declined", "G-1", "paths", "A → B", "B → C"),
    ):
        assert reason(other, known) is None


def test_known_differences_have_existing_cases_and_a_reason() -> None:
    for difference in comparison.known():
        assert difference.case in SITUATIONS or difference.case.startswith("generated: ")
        assert difference.reason
        assert difference.field in HERE.fields()


def test_charges_and_stock_have_no_known_difference() -> None:
    assert not {difference.field for difference in comparison.known()} & {"charges", "stock"}
