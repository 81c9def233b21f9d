"""``orders cost``: the price of a run's orders on AWS, and what a deployed stack really cost."""

from infra.cli.errors import CommandError
from infra.cli.options import DATA, Data, Json, directory
from infra.cost.bill import REFERENCE_LINES, Bill, Line, Lines, bill, total
from infra.cost.contrast import contrast
from infra.cost.deployment import PER_DAY, read_deployment
from infra.cost.monthly import fixed, kept
from infra.cost.prices import MILLION, NOTE, THOUSAND
from infra.cost.usage import Usage, read_usage
from infra.local.platform import TEMPLATE
from infra.terminal.output import Styled, Table, console, finish


def cost(data: Data = DATA, as_json: Json = False) -> None:
    """Print the price of a million orders like those of a run on AWS, line by line."""
    usage = _usage(data)
    try:
        priced = bill(usage, read_deployment(TEMPLATE))
    except KeyError as error:
        raise CommandError(
            f"{error.args[0]} is not in the model; add it to infra/cost/deployment.py"
        ) from None
    monthly, storage = fixed(TEMPLATE), kept(usage)
    console.print(_table(priced), "", _totals(priced), "")
    console.print(_monthly(monthly, storage), "")
    _explain(usage)
    finish(_answer(priced, monthly, storage), as_json=as_json)


def _usage(data: Data) -> Usage:
    where = directory(data)
    usage = read_usage(where.reader(), where.log)
    if usage is None:
        raise CommandError(
            f"{where.root} has no order that was completed at the first try and confirmed by mail;"
            " run `orders run --count 100` first, with another --data if its orders are real"
        )
    return usage


def _answer(priced: Bill, monthly: Lines, storage: Lines) -> dict[str, object]:
    return {
        "total": round(total(priced.lines), 2),
        "total_over_1kb": round(total((*priced.lines, priced.over_1kb)), 2),
        "lines": _lines(priced.lines),
        "mail": round(priced.mail.usd, 2),
        "standard_total": round(total(priced.standard + priced.rest), 2),
        "contrast_total": round(total(contrast()), 2),
        "monthly": _lines(monthly),
        "kept_a_month": _lines(storage),
    }


def _lines(lines: Lines) -> dict[str, dict[str, object]]:
    return {
        line.name: {
            "quantity": round(line.quantity, 6),
            "unit": line.unit,
            "usd": round(line.usd, 4),
        }
        for line in lines
    }


def _table(priced: Bill) -> Table:
    columns = ("line", "an order", "of", "at USD", "USD")
    table = Table(*columns, title="A million orders on AWS, EXPRESS", right=("an order", "USD"))
    for line in priced.lines:
        name, quantity = line.name.replace("_", " "), f"{line.quantity:.4g}"
        table.add_row(name, quantity, line.unit, _price(line), f"{line.usd:.2f}")
    table.add_row("total, without mail", "", "", "", f"{total(priced.lines):.2f}", style="bold")
    over = total((*priced.lines, priced.over_1kb))
    table.add_row("if an order's item is over 1 KB", "", "", "", f"{over:.2f}")
    return table


def _price(line: Line) -> str:
    price = f"{line.price:.10f}".rstrip("0").rstrip(".")
    units = {1.0: "", float(THOUSAND): " / thousand", float(MILLION): " / million"}
    return price + units.get(line.per, " / GB")


def _totals(priced: Bill) -> Table:
    [transitions] = priced.standard
    standard = total(priced.standard + priced.rest)
    states = f"with WorkflowType STANDARD, {transitions.quantity:g} states a run"
    table = Table(title="For comparison")
    table.add_row(f"{priced.mail.usd:.2f}", "for the mail (SES)")
    table.add_row(f"{standard:.2f}", states)
    table.add_row(
        f"{total(contrast()):.2f}",
        "a design for contrast: STANDARD, x86, every run traced, an item for every fact",
    )
    return table


def _monthly(monthly: Lines, storage: Lines) -> Table:
    table = Table("each month", "of", "USD", title="Without any order", right=("USD",))
    for line in monthly:
        quantity = f"{line.quantity:,.0f} {line.unit}".strip()
        table.add_row(line.name.replace("_", " "), quantity, f"{line.usd:.2f}")
    table.add_row("total", "", f"{total(monthly):.2f}", style="bold")
    table.add_row("a million orders kept", "", f"{total(storage):.2f}")
    return table


def _explain(usage: Usage) -> None:
    console.print(
        f"Counted in {usage.orders} orders of the happy path here, of {usage.lines:.1f} lines. The"
        f" priced order has {REFERENCE_LINES} lines and an e-mail address; {PER_DAY:,} arrive a"
        " day at the stage prod. Durations and DynamoDB's units are declared in"
        " infra/cost/deployment.py, storage is in infra/cost/monthly.py.",
    )
    console.print(Styled(NOTE, "dim"))
