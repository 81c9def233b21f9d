"""Use cases of the approval of a high-value order: request it, and decide."""

from typing import NamedTuple

from kernel import approval
from kernel.errors import DecisionRefused, LeaseLost
from kernel.lease import require_active
from kernel.order_record import Change, Entry, OrderRecord, retry_on_conflict
from kernel.order_status import UNDOING, Approval, Status
from kernel.timestamps import timestamp
from orders import model
from orders.usecases import Ports

REJECTED = "ApprovalRejected"
MAX_REASON = 1_000
"""Maximum characters of a reason, as of every text in a timeline."""

REVIEWER = "the reviewer"
"""The name of a person who decides by the link in the mail."""


class Requested(NamedTuple):
    """An order that waits for a decision; ``seconds`` is the longest wait of its workflow."""

    order_id: str
    seconds: int


@retry_on_conflict
def request(order_id: str, epoch: int, ports: Ports) -> Requested:
    """Set an order AWAITING_APPROVAL without a lease, until its deadline.

    A second request keeps the deadline of the first.

    Raises
    ------
    OrderCancelled
        The order was cancelled meanwhile.
    LeaseLost
        A newer run holds the order, or the order was decided meanwhile, which resumed it.
    """
    record, now = ports.store.read(order_id), ports.now()
    require_active(record, epoch)
    is_requested = record.status is Status.AWAITING_APPROVAL and record.lease_owner is None
    if not is_requested:
        if record.approval not in (None, Approval.PENDING):
            raise LeaseLost(f"order {order_id} is {record.approval}; its next run continues it")
        record = ports.store.save(_requested(record, ports.policy.approval_seconds, now))
    left = (record.approve_by or now) - now
    return Requested(order_id, round(max(left, 1.0) + approval.GRACE))


def _requested(record: OrderRecord, seconds: float, now: float) -> Change:
    deadline = record.approve_by or now + seconds
    entry = Entry("APPROVAL_REQUESTED", now, {"until": timestamp(deadline)})
    return record.change(
        *(() if record.approval else (entry,)),
        status=Status.AWAITING_APPROVAL,
        approval=Approval.PENDING,
        approve_by=deadline,
        resume_at=deadline,
        lease_owner=None,
        lease_until=0.0,
    )


@retry_on_conflict
def decide(order_id: str, decision: Approval, actor: str, reason: str, ports: Ports) -> OrderRecord:
    """Record a decision, which resumes the order; return a record with the same decision unchanged.

    Raises
    ------
    DecisionRefused
        The order awaits no decision, or its deadline has passed.
    OrderNotFound
        No order has this id.
    """
    record, now = ports.store.read(order_id), ports.now()
    if record.approval is decision and not record.ended:
        return record
    _require_pending(record, now)
    return ports.store.save(_decided(record, decision, actor, reason[:MAX_REASON], now))


def decide_by_link(
    order_id: str, code: str, decision: Approval, reason: str, ports: Ports
) -> OrderRecord:
    """Record the decision of a person who has the link in the reviewer's mail.

    Raises
    ------
    DecisionRefused
        The link is not valid, or not any more: the order has a decision, or its wait has ended.
    OrderNotFound
        No order has this id.
    """
    require_link(ports.store.read(order_id), code)
    return decide(order_id, decision, REVIEWER, reason, ports)


def require_link(record: OrderRecord, code: str) -> OrderRecord:
    """Return the order of a reviewer's link, or raise `DecisionRefused`."""
    if not approval.is_code_of(record, code):
        raise DecisionRefused(
            "this link is not valid, or not any more: the order was decided, cancelled, or its"
            " time has passed"
        )
    return record


def _require_pending(record: OrderRecord, now: float) -> None:
    order = f"order {record.order_id}"
    if record.ended or record.status in UNDOING:
        raise DecisionRefused(f"{order} is {record.status} already")
    if record.cancel_requested:
        raise DecisionRefused(f"{order} is to be cancelled")
    if record.approval is None:
        raise DecisionRefused(f"{order} is {record.status} and waits for no decision")
    if record.approval is not Approval.PENDING:
        raise DecisionRefused(f"{order} is {record.approval} already")
    if record.approve_by is not None and now >= record.approve_by:
        raise DecisionRefused(f"{order} could be decided until {timestamp(record.approve_by)}")


def _decided(
    record: OrderRecord, decision: Approval, actor: str, reason: str, now: float
) -> Change:
    fields: dict[str, object] = {"approval": decision, "approval_token": None, "resume_at": 0.0}
    if decision is Approval.REJECTED:
        why = f": {reason}" if reason else ""
        fields |= {"failure": REJECTED, "failure_message": f"rejected by {actor}{why}"}
    elif record.status is Status.AWAITING_APPROVAL:
        fields["status"] = Status.RESERVED
    detail = {"by": actor, **({"reason": reason} if reason else {})}
    is_held = record.lease_owner is not None and record.lease_until > now
    run = None if is_held else model.resume(record, now, "a")
    messages = approval.ended_wait(record.approval_token, decision, run)
    return record.change(Entry(str(decision), now, detail), messages=messages, **fields)
