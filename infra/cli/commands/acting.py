"""``orders cancel``, ``retry``, ``approve``, ``reject``, ``note``: an operator acts on an order."""

from pathlib import Path
from typing import Annotated, Any

import typer

from infra.cli.operator import operator, words_of
from infra.cli.options import DATA, Data, Json, StackOptions, directory, expand_options
from infra.terminal.output import console, finish

OrderId = Annotated[str, typer.Argument(metavar="ORDER_ID")]
Why = Annotated[str, typer.Option("--reason", help="Why; the order's timeline has it.")]

NOT_SERVED = "this directory is not served: `orders serve` or `orders run --count 0` continues it"


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
    acted = _act("CancelOrder", order_id, words_of("--reason", reason), stack, data)
    _end(f"{order_id}: the cancellation is requested", acted, as_json=as_json)


@expand_options
def retry(
    order_id: OrderId,
    *,
    reason: Why = "",
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Resume an order that is WAITING or AWAITING_APPROVAL now, before the end of its wait."""
    acted = _act("RetryOrder", order_id, reason.strip(), stack, data)
    _end(f"{order_id}: a run is started", acted, as_json=as_json)


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
    acted = _act("ApproveOrder", order_id, reason.strip(), stack, data)
    _end(f"{order_id}: approved", acted, as_json=as_json)


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
    acted = _act("RejectOrder", order_id, words_of("--reason", reason), stack, data)
    _end(f"{order_id}: rejected; its units are released", acted, as_json=as_json)


@expand_options
def note(
    order_id: OrderId,
    text: Annotated[str, typer.Argument(metavar="TEXT")],
    *,
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Add a note to an order's timeline, with your name."""
    noted, _ = _act("NoteOrder", order_id, words_of("TEXT", text), stack, data)
    _end(f"{order_id}: noted", (noted, True), as_json=as_json)


def _end(said: str, acted: tuple[dict[str, Any], bool], *, as_json: bool) -> None:
    """Print the result, and the command that continues it if the directory has no server."""
    result, served = acted
    console.print(said, *([] if served else [NOT_SERVED]))
    finish(result, as_json=as_json)


def _act(
    name: str, order_id: str, reason: str, stack: StackOptions, data: Path
) -> tuple[dict[str, Any], bool]:
    """Act on an order of the deployed stack or, without one, of the data directory."""
    deployed = stack.deployed_stack()
    if deployed is not None:
        from infra.deployed.operations import act

        return act(deployed, name, order_id, reason, operator()), True
    from infra.cli.local_operations import operate

    return operate(directory(data), name, order_id=order_id, reason=reason)
