"""A rehearsal fails at any difference but those that are known."""

from tests.e2e.scenarios import SITUATIONS
from tests.rehearsal import comparison
from tests.rehearsal.comparison import Difference, Row, reason
from tests.rehearsal.outcome import Outcome

HERE = Outcome("A → B", "COMPLETED", "Order Completed", "CHARGED 12.50 (gateway: CHARGED)", "TEA")
THERE = Outcome("A → C", "COMPLETED", "Order Completed", "CHARGED 12.50 (gateway: CHARGED)", "TEA")


def test_what_differs_is_found_field_by_field() -> None:
    rows = comparison.rows("mail bounces", HERE, THERE)
    assert [row.field for row in rows] == ["paths", "status", "events", "charges", "stock"]
    assert [row.field for row in rows if row.differs] == ["paths"]


def test_an_order_that_one_side_has_not_differs() -> None:
    rows = comparison.rows_of_orders({"G-1": "completed"}, {"G-1": HERE}, {})
    assert {row.field for row in rows if row.differs} >= {"paths", "status", "events", "charges"}


def test_a_known_difference_holds_for_its_case_its_field_and_what_it_says() -> None:
    known = [Difference("generated: *", "paths", "A → *", "because")]
    row = Row("generated: declined", "G-1", "paths", "A → B", "A → C")
    assert reason(row, known) == "because"
    for other in (
        Row("mail bounces", "", "paths", "A → B", "A → C"),
        Row("generated: declined", "G-1", "status", "A → B", "A → C"),
        Row("generated: declined", "G-1", "paths", "A → B", "B → C"),
    ):
        assert reason(other, known) is None


def test_known_differences_are_of_cases_that_exist_and_have_a_reason() -> None:
    for one in comparison.known():
        assert one.case in SITUATIONS or one.case.startswith("generated: ")
        assert one.reason
        assert one.field in HERE.fields()


def test_no_known_difference_lets_charges_or_stock_differ() -> None:
    assert not {one.field for one in comparison.known()} & {"charges", "stock"}
