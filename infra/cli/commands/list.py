"""``orders list``: the orders that match a filter."""

from typing import Annotated

import typer

from infra.cli.moments import moment_of
from infra.cli.options import DATA, Data, Json, StackOptions, directory, expand_options
from infra.cli.order_output import STYLES, amount
from infra.terminal.output import Styled, Table, console, finish
from infra.views import local_story
from infra.views.order_filter import ListOrder, OrderFilter
from infra.views.order_story import OrderPage, OrderSummary
from kernel.order_status import Status

_Text = str | None


@expand_options
def list_orders(
    *,
    status: Annotated[
        list[Status] | None,
        typer.Option(
            metavar="STATUS",
            case_sensitive=False,
            help="Only this status; it may be repeated.",
        ),
    ] = None,
    reason: Annotated[
        _Text, typer.Option(help="Why it failed or waits, such as OutOfStock.")
    ] = None,
    since: Annotated[
        _Text, typer.Option(metavar="TIME", help="From this time on: 2026-01-31, yesterday, 2h.")
    ] = None,
    until: Annotated[_Text, typer.Option(metavar="TIME", help="Before this time.")] = None,
    sku: Annotated[_Text, typer.Option(help="Only orders with this SKU.")] = None,
    customer: Annotated[_Text, typer.Option(help="Only orders of this customer.")] = None,
    text: Annotated[
        _Text, typer.Option(help="Part of an id, e-mail, tracking number or message.")
    ] = None,
    order: Annotated[
        ListOrder, typer.Option(help="updated: by the last change, which --since means then too.")
    ] = ListOrder.NEWEST,
    after: Annotated[
        _Text,
        typer.Option(
            metavar="CURSOR", help="Continue after this cursor, which the previous page printed."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Maximum number of orders.")] = 20,
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """List orders, the newest first, with the reason of each that failed or waits."""
    wanted = OrderFilter(
        statuses=frozenset(map(str, status or ())),
        reason=reason,
        customer=customer,
        sku=sku,
        text=text,
        since=moment_of("--since", since),
        until=moment_of("--until", until),
        order=order,
        after=after,
        limit=limit,
    )
    deployed = stack.deployed_stack()
    if deployed is None:
        page = local_story.list_orders(directory(data), wanted)
    else:
        from infra.deployed import orders

        page = orders.list_orders(deployed, wanted)
    _show(page)
    finish(page.to_json(), as_json=as_json)


def _show(page: OrderPage) -> None:
    if not page.orders:
        console.print("no order matches")
        return
    table = Table("order", "status", "total", "updated (UTC)", "reason", "customer")
    for order in page.orders:
        table.add_row(
            order.order_id,
            Styled(order.status, STYLES.get(order.status, "")),
            amount(order.total, order.currency),
            order.updated_at[:16].replace("T", " "),
            _reason(order),
            order.customer_id,
        )
    console.print(table)
    if page.next is not None:
        console.print(f"there are more: --limit, or --after {page.next}")


def _reason(order: OrderSummary) -> str | None:
    """Return the reason of a failure, or the cause and the end of a wait."""
    if order.waits_for is None or order.until is None:
        return order.failure
    return f"waits for {order.waits_for} until {order.until[:16].replace('T', ' ')}"
