"""``orders list``: the newest orders."""

from dataclasses import asdict
from typing import Annotated

import typer

from infra.cli.options import DATA, Data, Json, StackOptions, directory, expand_options
from infra.cli.order_output import STYLES, amount
from infra.terminal.output import Styled, Table, console, finish
from infra.views import local_story
from kernel.order_status import Status


@expand_options
def list_orders(
    *,
    status: Annotated[Status | None, typer.Option(help="Only orders of this status.")] = None,
    customer: Annotated[str | None, typer.Option(help="Only orders of this customer.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Maximum number of orders.")] = 20,
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """List orders, the newest first."""
    deployed = stack.deployed_stack()
    if deployed is None:
        summaries = local_story.list_orders(directory(data), status, customer, limit)
    else:
        from infra.deployed import orders

        summaries = orders.list_orders(deployed, status, customer, limit)
    table = Table("order", "status", "total", "updated (UTC)", "customer", "reason", "waits")
    for order in summaries:
        table.add_row(
            order.order_id,
            Styled(order.status, STYLES.get(order.status, "")),
            amount(order.total, order.currency),
            order.updated_at[5:16].replace("T", " "),
            order.customer_id,
            order.failure,
            order.attempts or None,
        )
    console.print(table)
    if len(summaries) == limit:
        console.print(f"the newest {limit}; --limit shows more")
    finish({"orders": [asdict(order) for order in summaries]}, as_json=as_json)
