"""Operations of an operator on the orders of a deployed stack, as `orders cancel` makes them."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from infra.deployed.stack import DeployedStack
from kernel.order_record import OrderRecord
from kernel.order_status import Approval
from orders import approvals, operator_requests
from orders.usecases import Policy, Ports

_DECISIONS = {"ApproveOrder": Approval.APPROVED, "RejectOrder": Approval.REJECTED}

_REQUESTS: Mapping[str, Callable[[str, str, str, Ports], OrderRecord]] = {
    "CancelOrder": operator_requests.cancel,
    "RetryOrder": operator_requests.retry,
    "NoteOrder": operator_requests.note,
}

ORDER_OPERATIONS = frozenset(_DECISIONS) | frozenset(_REQUESTS)
"""The names of these operations."""


def act(stack: DeployedStack, name: str, order_id: str, reason: str, who: str) -> dict[str, Any]:
    """Run an operation on an order; return its id and its state after it.

    Raises
    ------
    OrderflowError
        The order does not exist, or its state refuses the operation.
    """
    from orders.dynamodb import DynamoOrders

    ports = Ports(DynamoOrders(stack.table()), time.time, Policy())
    if name in _DECISIONS:
        record = approvals.decide(order_id, _DECISIONS[name], who, reason, ports)
    else:
        record = _REQUESTS[name](order_id, who, reason, ports)
    after = {"status": str(record.status), "cancel_requested": record.cancel_requested}
    return {"subject": order_id, "after": after}
