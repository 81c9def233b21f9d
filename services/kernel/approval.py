"""Rules of the approval of high-value orders: its condition, its deadline, and the mail's link.

The charge requires the approval (`require_approved`), so no path of a workflow charges without it.
"""

import hmac
from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

from kernel.errors import ApprovalExpired, ApprovalRejected, ApprovalRequired
from kernel.order_record import Message, OrderRecord
from kernel.order_status import Approval

GRACE = 60.0
"""Seconds after the deadline at which the wait ends: the clocks of two functions may differ."""


class Thresholds(NamedTuple):
    """The lowest total of an order of high value, in hundredths; ``single`` is by currency."""

    general: int
    single: Mapping[str, int]

    def of(self, currency: str) -> int:
        """Return the threshold of a currency."""
        return self.single.get(currency, self.general)

    def is_high_value(self, total: int, currency: str) -> bool:
        """Return whether an order of this total is of high value: at or above the threshold."""
        return total >= self.of(currency)


def require_approved(record: OrderRecord, thresholds: Thresholds | None, now: float) -> None:
    """Return if an order may be charged; without ``thresholds`` no order needs an approval.

    A decision that was asked for is required even if approvals were turned off meanwhile.

    Raises
    ------
    ApprovalRequired
        The order waits for a decision, or must.
    ApprovalRejected, ApprovalExpired
        The order was rejected, or its deadline has passed.
    """
    if record.approval is Approval.APPROVED:
        return
    if record.approval is None:
        if thresholds is None or not thresholds.is_high_value(record.total, record.currency):
            return
        raise ApprovalRequired(f"order {record.order_id} is of high value and needs an approval")
    if record.approval is Approval.REJECTED:
        raise ApprovalRejected(record.failure_message or f"order {record.order_id} was rejected")
    if record.approval is Approval.EXPIRED or now >= (record.approve_by or 0.0):
        raise ApprovalExpired(f"order {record.order_id} was not approved in time")
    raise ApprovalRequired(f"order {record.order_id} waits for a decision")


def link_code(order_id: str, token: str) -> str:
    """Return the code of a reviewer's link: it is valid as long as the task token."""
    return hmac.new(token.encode(), order_id.encode(), sha256).hexdigest()


def is_code_of(record: OrderRecord, code: str) -> bool:
    """Return whether a code is that of the link to an order's present wait."""
    if record.approval_token is None:
        return False
    known = link_code(record.order_id, record.approval_token)
    return hmac.compare_digest(known.encode(), code.encode(errors="replace"))


def ended_wait(token: str | None, outcome: str, run: Message | None) -> tuple[Message, ...]:
    """Return the messages that end a wait for a decision, and so resume the order.

    ``run`` resumes it instead if no task waits any more; without it, the order is not resumed.
    """
    if token is None:
        return () if run is None else (run,)
    body: dict[str, object] = {"token": token, "output": {"outcome": outcome}}
    if run is not None:
        body["run"] = run.body
    return (Message("answer", body),)
