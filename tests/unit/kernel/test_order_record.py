"""An order's record: statuses only go forward, and a run writes only while the order is its own."""

from itertools import product

import pytest

from kernel.errors import LeaseLost, OrderCancelled, OrderNotFound, VersionConflict
from kernel.lease import require_active, require_compensating, require_holder
from kernel.order_record import CONFLICT_RETRIES, Entry, Line, Message, retry_on_conflict
from kernel.order_status import ENDED, UNDOING, Status
from tests.fakes.records import EPOCH, NOW, order

ALLOWED = {
    "RECEIVED": "RESERVED WAITING COMPENSATING",
    "RESERVED": "CHARGED WAITING COMPENSATING",
    "CHARGED": "COMPLETED WAITING COMPENSATING",
    "WAITING": "RESERVED CHARGED COMPENSATING",
    "COMPENSATING": "FAILED CANCELLED",
    "COMPLETED": "",
    "FAILED": "",
    "CANCELLED": "",
}
IN_FLIGHT = frozenset(Status) - ENDED
FORWARD = IN_FLIGHT - {Status.COMPENSATING}


@pytest.mark.parametrize(("before", "after"), list(product(Status, Status)))
def test_a_status_goes_only_where_an_orders_life_allows(before: Status, after: Status) -> None:
    record = order(status=before)
    if after is before or after in ALLOWED[before].split():
        assert record.change(status=after).after.status is after
    else:
        with pytest.raises(ValueError, match=f"A-1 cannot go from {before} to {after}"):
            record.change(status=after)


def test_an_order_ends_as_completed_failed_or_cancelled() -> None:
    assert {"COMPLETED", "FAILED", "CANCELLED"} == ENDED
    assert {status for status in Status if order(status=status).ended} == ENDED
    assert {"COMPENSATING", "FAILED", "CANCELLED"} == UNDOING


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("epoch", [EPOCH - 1, EPOCH, EPOCH + 1])
def test_a_run_holds_an_order_by_its_epoch_until_it_ends(status: Status, epoch: int) -> None:
    record = order(status=status)
    if epoch == EPOCH and status in IN_FLIGHT:
        assert require_holder(record, epoch) is record
    else:
        with pytest.raises(LeaseLost, match=f"A-1 is {status} at epoch {EPOCH}, not {epoch}"):
            require_holder(record, epoch)


@pytest.mark.parametrize("status", sorted(FORWARD))
def test_a_run_goes_forward_unless_the_order_is_to_be_cancelled(status: Status) -> None:
    record = order(status=status)
    assert require_active(record, EPOCH) is record
    with pytest.raises(LeaseLost):
        require_active(record, EPOCH - 1)
    with pytest.raises(OrderCancelled, match="A-1 is to be cancelled"):
        require_active(order(status=status, cancel_requested=True), EPOCH)


def test_a_run_does_not_go_forward_with_an_order_that_is_undone() -> None:
    undone = order(status=Status.COMPENSATING, failure="PaymentDeclined")
    with pytest.raises(OrderCancelled, match="A-1 is undone after PaymentDeclined"):
        require_active(undone, EPOCH)


def test_the_fence_comes_before_the_request_to_cancel() -> None:
    with pytest.raises(LeaseLost):
        require_active(order(cancel_requested=True), EPOCH - 1)


@pytest.mark.parametrize("status", Status)
def test_only_an_order_in_compensation_is_undone(status: Status) -> None:
    record = order(status=status, cancel_requested=True)
    if status is Status.COMPENSATING:
        assert require_compensating(record, EPOCH) is record
        with pytest.raises(LeaseLost):
            require_compensating(record, EPOCH - 1)
    else:
        with pytest.raises(LeaseLost, match=f"A-1 is {status}"):
            require_compensating(record, EPOCH)


def test_lines_of_one_sku_are_one_demand() -> None:
    lines = (Line("TEA", 2, 100), Line("CUP", 1, 100), Line("TEA", 3, 90))
    assert order(items=lines).demand == {"TEA": 5, "CUP": 1}


def test_a_change_is_of_one_version_and_raises_it_by_one() -> None:
    before = order(version=7)
    message = Message("event", {})
    change = before.change(
        Entry("ONE", NOW), Entry("TWO", NOW + 1), messages=(message,), attempts=3
    )
    assert change.before is before
    assert change.fields == {"attempts": 3, "version": 8, "updated_at": NOW + 1}
    assert [entry.what for entry in change.entries] == ["ONE", "TWO"]
    assert change.messages == (message,)
    assert change.after == order(version=8, attempts=3, updated_at=NOW + 1)


def test_a_change_without_an_entry_is_not_news() -> None:
    before = order()
    assert before.change(attempts=1).after.updated_at == before.updated_at


class Step:
    """A step that meets another writer so many times."""

    def __init__(self, conflicts: int) -> None:
        self.conflicts = conflicts
        self.calls: list[tuple[str, int]] = []

    def __call__(self, order_id: str, *, epoch: int) -> str:
        self.calls.append((order_id, epoch))
        if len(self.calls) <= self.conflicts:
            raise VersionConflict(order_id)
        return "done"


@pytest.mark.parametrize("conflicts", [0, 1, CONFLICT_RETRIES])
def test_a_step_starts_over_when_another_writer_got_in_between(conflicts: int) -> None:
    step = Step(conflicts)
    assert retry_on_conflict(step)("A-1", epoch=3) == "done"
    assert step.calls == [("A-1", 3)] * (conflicts + 1)


def test_a_step_gives_up_when_others_always_get_in_between() -> None:
    step = Step(conflicts=1_000)
    with pytest.raises(VersionConflict):
        retry_on_conflict(step)("A-1", epoch=3)
    assert len(step.calls) == CONFLICT_RETRIES + 1


def test_only_a_conflict_makes_a_step_start_over() -> None:
    calls = []

    @retry_on_conflict
    def step() -> None:
        calls.append(1)
        raise OrderNotFound("A-1")

    with pytest.raises(OrderNotFound):
        step()
    assert len(calls) == 1
