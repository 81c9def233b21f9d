"""``orders show`` and ``orders list``: orders as they stand."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from infra.cli.options import (
    DATA,
    Data,
    EndpointUrl,
    Json,
    Profile,
    Region,
    StackName,
    deployed,
    directory,
)
from infra.cli.output import CommandError, console, finish
from infra.cli.story import Story, mail_of, story
from infra.local.datadir import DataDirectory
from shared.clock import timestamp
from shared.money import from_minor, text, to_minor
from shared.record import Status

LINES = 6
ENTRIES = 24
"""What fits on one screen."""

_STYLES = {"COMPLETED": "green", "FAILED": "red", "CANCELLED": "red", "WAITING": "yellow"}


def show(
    order_id: Annotated[str, typer.Argument(metavar="ORDER_ID")],
    mail: Annotated[
        Path | None,
        typer.Option(metavar="FILE.eml", help="Write its confirmation as any mail reader has it."),
    ] = None,
    endpoint_url: EndpointUrl = None,
    profile: Profile = None,
    region: Region = None,
    stack: StackName = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Tell one order's whole story: events, states with attempts, payments, stock, shipment."""
    there = deployed(endpoint_url, profile, region, stack)
    if there is None:
        told = story(directory(data), order_id)
        if mail is not None:
            _write(mail, mail_of(directory(data), order_id))
    elif mail is not None:
        raise CommandError("--mail: a deployed stack's mails are with SES, which keeps none")
    else:
        from infra.deployed import story as away

        told = away.story(there, order_id)
    console.print(_panel(told))
    finish(told, as_json=as_json)


def list_orders(
    status: Annotated[Status | None, typer.Option(help="Only orders of this status.")] = None,
    customer: Annotated[str | None, typer.Option(help="Only orders of this customer.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 20,
    endpoint_url: EndpointUrl = None,
    profile: Profile = None,
    region: Region = None,
    stack: StackName = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """List orders, the newest first."""
    there = deployed(endpoint_url, profile, region, stack)
    if there is None:
        orders = _orders(directory(data), status, customer, limit)
    else:
        from infra.deployed import story as away

        orders = away.orders(there, status, customer, limit)
    table = Table()
    for name in ("order", "customer", "status", "total", "waits", "reason", "updated (UTC)"):
        table.add_column(name, no_wrap=True)
    for order in orders:
        table.add_row(
            order["order_id"],
            order["customer_id"],
            Text(order["status"], style=_STYLES.get(order["status"], "")),
            amount(order["total"], order["currency"]),
            str(order["attempts"]),
            order["failure"] or "",
            order["updated_at"][5:16].replace("T", " "),
        )
    console.print(table)
    if len(orders) == limit:
        console.print(f"the newest {limit}; --limit shows more")
    finish({"orders": orders}, as_json=as_json)


def amount(number: float, currency: str) -> str:
    """Return an amount with the decimals of its currency, such as ``500 JPY``."""
    return f"{text(to_minor(number), currency)} {currency}"


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise CommandError(f"--mail: {file} cannot be written: {error.strerror}") from None


def _orders(
    where: DataDirectory, status: Status | None, customer: str | None, limit: int
) -> list[Story]:
    rows = where.reader().rows(
        "select order_id, customer_id, status, total, currency, attempts, failure, updated_at"
        " from orders where (? is null or status = ?) and (? is null or customer_id = ?)"
        " order by created_at desc, order_id desc limit ?",
        status,
        status,
        customer,
        customer,
        limit,
    )
    return [
        {
            **dict(row),
            "total": from_minor(row["total"]),
            "updated_at": timestamp(row["updated_at"]),
        }
        for row in rows
    ]


def _panel(told: Story) -> Panel:
    parts: list[Any] = [_head(told), "", _timeline(told)]
    facts = Table.grid(padding=(0, 2))
    for label, value in _facts(told):
        facts.add_row(Text(label, style="bold"), Text(value))
    parts += ["", facts]
    title = Text(f" {told['order_id']} {told['status']} ", style=_STYLES.get(told["status"], ""))
    return Panel(Group(*parts), title=title, title_align="left", width=min(console.width, 120))


def _head(told: Story) -> Table:
    grid = Table.grid(padding=(0, 2))
    if told["total"] is None:
        grid.add_row("no record: its events opened no order")
        return grid
    grid.add_row("customer", Text(told["customer_id"]), "placed", Text(told["placed_at"]))
    total = amount(told["total"], told["currency"])
    runs = f"{len(told['runs'])} runs, waited {told['attempts']} times"
    grid.add_row("total", total, "runs", runs)
    items = [f"{item['quantity']} x {item['sku']}" for item in told["items"]]
    more = f" and {len(items) - LINES} more" if len(items) > LINES else ""
    grid.add_row("lines", Text(", ".join(items[:LINES]) + more))
    if told["failure"]:
        grid.add_row("reason", Text(f"{told['failure']['reason']}: {told['failure']['message']}"))
    return grid


def _timeline(told: Story) -> Table:
    table = Table("when (UTC)", "what", "epoch", "detail", box=None, padding=(0, 2, 0, 0))
    entries = told["timeline"]
    shown = entries if len(entries) <= ENTRIES else [*entries[:12], None, *entries[-11:]]
    for entry in shown:
        if entry is None:
            table.add_row("…", f"{len(entries) - 23} more", "", "see --json")
            continue
        detail = ", ".join(f"{key} {value}" for key, value in entry["detail"].items())
        epoch = "" if entry["epoch"] is None else str(entry["epoch"])
        when = entry["at"].replace("T", " ").rstrip("Z")
        table.add_row(when, entry["what"], epoch, Text(detail, overflow="ellipsis", no_wrap=True))
    return table


def _facts(told: Story) -> list[tuple[str, str]]:
    counts: dict[str, int] = {}
    for event in told["events"]:
        counts[event["type"]] = counts.get(event["type"], 0) + 1
    facts = [
        (
            "events",
            ", ".join(
                f"{name} x{number}" if number > 1 else name for name, number in counts.items()
            ),
        )
    ]
    for payment in told["payments"]:
        paid = amount(payment["amount"], payment["currency"])
        says = f", gateway says {payment['gateway']}" if payment["gateway"] else ""
        facts.append(("payment", f"{payment['status']} {paid}{says}"))
    if told.get("reservation"):
        facts.append(("stock", told["reservation"]))
    if told["shipment"]:
        number = told["shipment"]["tracking_number"] or ""
        facts.append(("shipment", f"{told['shipment']['status']} {number}".strip()))
    if told["review"]:
        facts.append(("review", f"{told['review']['status']} (high value)"))
    if told["mail"]:
        facts.append(("mail", told["mail"]))
    facts += [
        ("request", f"{one['type']} since {one['since']}, kept for a day until its order comes")
        for one in told["requests"]
    ]
    facts += [
        ("dead letter", f"{letter['queue']} #{letter['id']}: {letter['reason']}")
        for letter in told["dead_letters"]
    ]
    return facts
