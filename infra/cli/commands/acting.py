"""``orders cancel``, ``retry``, ``approve``, ``reject``, ``note``: an operator acts on an order."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.operator import operator
from infra.cli.options import DATA, Data, Json, StackOptions, directory, expand_options
from infra.terminal.output import console, finish

if TYPE_CHECKING:
    from infra.deployed.stack import DeployedStack

OrderId = Annotated[str, typer.Argument(metavar="ORDER_ID")]
Why = Annotated[str, typer.Option("--reason", help="Why; the history of the order shows it.")]

NOT_SERVED = "no server has this directory: `orders serve` or `orders run --count 0` continues it"


@expand_options
def cancel(
    order_id: OrderId,
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why; the customer's events have it.")],
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Cancel an order that is not shipped: refund it, and release or restock its units.

    The request is saved at once, and a run of the order carries it out. `orders show` has the
    outcome.
    """
    result, served = _act("CancelOrder", order_id, _text("--reason", reason), stack, data)
    console.print(f"{order_id}: the cancellation is requested", *_hint(served=served))
    finish(result, as_json=as_json)


@expand_options
def retry(
    order_id: OrderId,
    *,
    reason: Why = "",
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Resume a waiting or paused order now, before the end of its wait."""
    result, served = _act("RetryOrder", order_id, reason.strip(), stack, data)
    console.print(f"{order_id}: a run is started", *_hint(served=served))
    finish(result, as_json=as_json)


@expand_options
def approve(
    order_id: OrderId,
    *,
    reason: Why = "",
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Approve an order of high value that is AWAITING_APPROVAL: it is charged and shipped."""
    result, served = _act("ApproveOrder", order_id, reason.strip(), stack, data)
    console.print(f"{order_id}: approved", *_hint(served=served))
    finish(result, as_json=as_json)


@expand_options
def reject(
    order_id: OrderId,
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why; the customer's events have it.")],
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Reject an order of high value that is AWAITING_APPROVAL: it fails and is not charged."""
    result, served = _act("RejectOrder", order_id, _text("--reason", reason), stack, data)
    console.print(f"{order_id}: rejected; its units are released", *_hint(served=served))
    finish(result, as_json=as_json)


@expand_options
def note(
    order_id: OrderId,
    text: Annotated[str, typer.Argument(metavar="TEXT")],
    *,
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Add a note to the history of an order, with your name."""
    result, _ = _act("NoteOrder", order_id, _text("TEXT", text), stack, data)
    console.print(f"{order_id}: noted")
    finish(result, as_json=as_json)


def _text(name: str, text: str) -> str:
    if not text.strip():
        raise typer.BadParameter(f"{name}: is empty; say why")
    return text.strip()


def _hint(*, served: bool) -> list[str]:
    return [] if served else [NOT_SERVED]


def _act(
    name: str, order_id: str, reason: str, stack: StackOptions, data: Path
) -> tuple[dict[str, Any], bool]:
    """Act on an order of the deployed stack or, without one, of the data directory."""
    deployed = stack.deployed_stack()
    if deployed is not None:
        return _act_there(deployed, name, order_id, reason), True
    from infra.cli.local_operations import operate

    return operate(directory(data), name, order_id=order_id, reason=reason)


def _act_there(stack: "DeployedStack", name: str, order_id: str, reason: str) -> dict[str, Any]:
    from kernel.order_status import Approval
    from orders import approvals, operator_requests
    from orders.dynamodb import DynamoOrders
    from orders.usecases import Policy, Ports

    ports = Ports(DynamoOrders(stack.table()), time.time, Policy())
    decisions = {"ApproveOrder": Approval.APPROVED, "RejectOrder": Approval.REJECTED}
    actions = {
        "CancelOrder": operator_requests.cancel,
        "RetryOrder": operator_requests.retry,
        "NoteOrder": operator_requests.note,
    }
    if name in decisions:
        record = approvals.decide(order_id, decisions[name], operator(), reason, ports)
    else:
        record = actions[name](order_id, operator(), reason, ports)
    after = {"status": str(record.status), "cancel_requested": record.cancel_requested}
    return {"subject": order_id, "after": after}
