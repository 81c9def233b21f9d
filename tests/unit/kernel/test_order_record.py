"""The order's record: status transitions, the lease's guards, and changes."""

from itertools import product

import pytest

from kernel.errors import LeaseLost, OrderCancelled, OrderNotFound, VersionConflict
from kernel.lease import require_active, require_compensating, require_holder
from kernel.order_record import CONFLICT_RETRIES, Entry, Line, Message, retry_on_conflict
from kernel.order_status import ENDED, UNDOING, Status
from tests.fakes.records import EPOCH, NOW, order

ALLOWED = {
    "RECEIVED": "RESERVED WAITING COMPENSATING",
    "RESERVED": "CHARGED WAITING AWAITING_APPROVAL COMPENSATING",
    "CHARGED": "COMPLETED WAITING COMPENSATING",
    "WAITING": "RESERVED CHARGED AWAITING_APPROVAL COMPENSATING",
    "AWAITING_APPROVAL": "RESERVED WAITING COMPENSATING",
    "COMPENSATING": "FAILED CANCELLED",
    "COMPLETED": "",
    "FAILED": "",
    "CANCELLED": "",
}
IN_FLIGHT = frozenset(Status) - ENDED
FORWARD = IN_FLIGHT - {Status.COMPENSATING}


@pytest.mark.parametrize(("before", "after"), list(product(Status, Status)))
def test_a_status_changes_only_by_an_allowed_transition(before: Status, after: Status) -> None:
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
def test_a_run_is_active_unless_the_order_is_to_be_cancelled(status: Status) -> None:
    record = order(status=status)
    assert require_active(record, EPOCH) is record
    with pytest.raises(LeaseLost):
        require_active(record, EPOCH - 1)
    with pytest.raises(OrderCancelled, match="A-1 is to be cancelled"):
        require_active(order(status=status, cancel_requested=True), EPOCH)


def test_a_run_is_not_active_on_an_order_in_compensation() -> None:
    undone = order(status=Status.COMPENSATING, failure="PaymentDeclined")
    with pytest.raises(OrderCancelled, match="A-1 is undone after PaymentDeclined"):
        require_active(undone, EPOCH)


def test_a_lost_lease_is_reported_before_a_cancellation() -> None:
    with pytest.raises(LeaseLost):
        require_active(order(cancel_requested=True), EPOCH - 1)


@pytest.mark.parametrize("status", Status)
def test_only_an_order_with_the_status_compensating_is_compensated(status: Status) -> None:
    record = order(status=status, cancel_requested=True)
    if status is Status.COMPENSATING:
        assert require_compensating(record, EPOCH) is record
        with pytest.raises(LeaseLost):
            require_compensating(record, EPOCH - 1)
    else:
        with pytest.raises(LeaseLost, match=f"A-1 is {status}"):
            require_compensating(record, EPOCH)


def test_lines_of_one_sku_are_summed() -> None:
    lines = (Line("TEA", 2, 100), Line("CUP", 1, 100), Line("TEA", 3, 90))
    assert order(items=lines).demand == {"TEA": 5, "CUP": 1}


def test_a_change_raises_the_version_by_one() -> None:
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


def test_a_change_without_an_entry_keeps_the_time_of_the_last_update() -> None:
    before = order()
    assert before.change(attempts=1).after.updated_at == before.updated_at


class Step:
    """A step with a given number of conflicts."""

    def __init__(self, conflicts: int) -> None:
        self.conflicts = conflicts
        self.calls: list[tuple[str, int]] = []

    def __call__(self, order_id: str, *, epoch: int) -> str:
        self.calls.append((order_id, epoch))
        if len(self.calls) <= self.conflicts:
            raise VersionConflict(order_id)
        return "done"


@pytest.mark.parametrize("conflicts", [0, 1, CONFLICT_RETRIES])
def test_a_step_is_repeated_after_a_conflict(conflicts: int) -> None:
    step = Step(conflicts)
    assert retry_on_conflict(step)("A-1", epoch=3) == "done"
    assert step.calls == [("A-1", 3)] * (conflicts + 1)


def test_a_step_gives_up_after_the_maximum_of_conflicts() -> None:
    step = Step(conflicts=1_000)
    with pytest.raises(VersionConflict):
        retry_on_conflict(step)("A-1", epoch=3)
    assert len(step.calls) == CONFLICT_RETRIES + 1


def test_only_a_conflict_repeats_a_step() -> None:
    calls = []

    @retry_on_conflict
    def step() -> None:
        calls.append(1)
        raise OrderNotFound("A-1")

    with pytest.raises(OrderNotFound):
        step()
    assert len(calls) == 1
