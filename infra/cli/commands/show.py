"""``orders show`` and ``orders list``: orders as they stand."""

from pathlib import Path
from typing import Annotated

import typer

from infra.cli.errors import CommandError
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
from infra.local.directory.data_directory import DataDirectory
from infra.terminal.output import Styled, Table, console, finish
from infra.views.local_story import Story, mail_of, story
from kernel.clock import timestamp
from kernel.money import from_minor, text, to_minor
from kernel.order_status import Status

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
    head = f"{told['order_id']} {told['status']}"
    console.print(Styled(head, f"bold {_STYLES.get(told['status'], '')}"), "")
    console.print(_head(told), "", _timeline(told), "", _facts(told))
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
    table = Table("order", "status", "total", "updated (UTC)", "customer", "reason", "waits")
    for order in orders:
        table.add_row(
            order["order_id"],
            Styled(order["status"], _STYLES.get(order["status"], "")),
            amount(order["total"], order["currency"]),
            order["updated_at"][5:16].replace("T", " "),
            order["customer_id"],
            order["failure"],
            order["attempts"] or None,
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


def _head(told: Story) -> Table:
    table = Table()
    if told["total"] is None:
        table.add_row("no record: its events opened no order")
        return table
    items = [f"{item['quantity']} x {item['sku']}" for item in told["items"]]
    more = f" and {len(items) - LINES} more" if len(items) > LINES else ""
    facts = {
        "customer": told["customer_id"],
        "placed": told["placed_at"],
        "total": amount(told["total"], told["currency"]),
        "runs": f"{len(told['runs'])} runs, waited {told['attempts']} times",
        "lines": ", ".join(items[:LINES]) + more,
    }
    if told["failure"]:
        facts["reason"] = f"{told['failure']['reason']}: {told['failure']['message']}"
    for label, value in facts.items():
        table.add_row(Styled(label, "bold"), value)
    return table


def _timeline(told: Story) -> Table:
    table = Table("when (UTC)", "what", "epoch", "detail")
    entries = told["timeline"]
    shown = entries if len(entries) <= ENTRIES else [*entries[:12], None, *entries[-11:]]
    for entry in shown:
        if entry is None:
            table.add_row("…", f"{len(entries) - 23} more", "", "see --json")
            continue
        detail = ", ".join(f"{key} {value}" for key, value in entry["detail"].items())
        when = entry["at"].replace("T", " ").rstrip("Z")
        table.add_row(when, entry["what"], entry["epoch"], detail)
    return table


def _facts(told: Story) -> Table:
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
    facts += [("tried again", _retry(message)) for message in told["retries"]]
    table = Table()
    for label, value in facts:
        table.add_row(Styled(label, "bold"), value)
    return table


def _retry(message: Story) -> str:
    """Return when a message is tried again, and what it failed of."""
    number = message["attempts"] + 1
    return f"{message['queue']} at {message['next']}, attempt {number}: {message['reason']}"
