"""``orders reviews``: the reviews of high-value orders."""

import time
from typing import Annotated, Any

import typer

from infra.cli.errors import CommandError
from infra.cli.operator import operator
from infra.cli.options import DATA, Data, Json, StackOptions, directory, expand_options
from infra.cli.order_output import amount
from infra.terminal.output import Table, console, finish
from infra.views.reviews import read_reviews

app = typer.Typer(help="Reviews of high-value orders: list and close them.", no_args_is_help=True)


@app.callback()
def reviews() -> None:
    """Reviews of high-value orders: list and close them."""


@app.command("list")
def list_reviews(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Closed reviews too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum reviews.")] = 100,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """List the open reviews of a data directory, the oldest first."""
    found = read_reviews(directory(data).reader(), limit, closed=everything)
    if found:
        table = Table("order", "customer", "total", "status", "since", right=("total",))
        for review in found:
            total = amount(review.total, review.currency)
            table.add_row(
                review.order_id, review.customer_id, total, review.status, review.flagged_at
            )
        console.print(table)
    else:
        console.print("no reviews" if everything else "no open reviews")
    finish({"reviews": [review.to_json() for review in found]}, as_json=as_json)


@app.command("close")
@expand_options
def close(
    order_id: Annotated[str, typer.Argument(metavar="ORDER_ID")],
    *,
    reason: Annotated[str, typer.Option("--reason", help="The result of the review.")],
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Close the review of an order; the order itself is not changed."""
    if not reason.strip():
        raise CommandError("--reason: is empty; give the finding of the review")
    deployed = stack.deployed_stack()
    if deployed is None:
        from infra.cli.local_operations import operate

        result, _ = operate(
            directory(data), "CloseReview", order_id=order_id, reason=reason.strip()
        )
    else:
        result = _close_there(deployed, order_id, reason.strip())
    console.print(f"{order_id}: its review is closed")
    finish(result, as_json=as_json)


def _close_there(stack: Any, order_id: str, reason: str) -> dict[str, Any]:
    from high_value.dynamodb import DynamoReviews
    from kernel.order_record import Entry

    detail = {"by": operator(), "reason": reason}
    DynamoReviews(stack.table()).close(order_id, Entry("REVIEW_CLOSED", time.time(), detail))
    return {"subject": order_id, "after": {"review": "CLOSED"}}
