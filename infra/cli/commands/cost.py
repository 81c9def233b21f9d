"""``orders cost``: the price of a run's orders on AWS."""

from infra.cli.errors import CommandError
from infra.cli.options import DATA, Data, Json, directory
from infra.cost.bill import REFERENCE_LINES, Bill, Line, Lines, bill, straightforward, total
from infra.cost.deployment import PER_DAY, read_deployment
from infra.cost.prices import MILLION, NOTE, THOUSAND
from infra.cost.usage import Usage, read_usage
from infra.local.platform import TEMPLATE
from infra.terminal.output import Styled, Table, console, finish


def cost(data: Data = DATA, as_json: Json = False) -> None:
    """Print the price of a million orders like those of a run on AWS, line by line."""
    where = directory(data)
    usage = read_usage(where.reader(), where.log)
    if usage is None:
        raise CommandError(
            f"{where.root} has no order that was completed at the first try and confirmed by mail;"
            " run `orders run --count 100` first, with another --data if its orders are real"
        )
    try:
        priced = bill(usage, read_deployment(TEMPLATE))
    except KeyError as error:
        raise CommandError(
            f"{error.args[0]} is not in the model; add it to infra/cost/deployment.py"
        ) from None
    plain = straightforward()
    console.print(_table(priced), "", _totals(priced, plain), "")
    _explain(usage)
    finish(_answer(priced, plain), as_json=as_json)


def _answer(priced: Bill, plain: Lines) -> dict[str, object]:
    return {
        "total": round(total(priced.lines), 2),
        "lines": {
            line.name: {
                "quantity": round(line.quantity, 6),
                "unit": line.unit,
                "usd": round(line.usd, 4),
            }
            for line in priced.lines
        },
        "mail": round(priced.mail.usd, 2),
        "standard_total": round(total(priced.standard + priced.rest), 2),
        "straightforward_total": round(total(plain), 2),
    }


def _table(priced: Bill) -> Table:
    columns = ("line", "an order", "of", "at USD", "USD")
    table = Table(*columns, title="A million orders on AWS, EXPRESS", right=("an order", "USD"))
    for line in priced.lines:
        name, quantity = line.name.replace("_", " "), f"{line.quantity:.4g}"
        table.add_row(name, quantity, line.unit, _price(line), f"{line.usd:.2f}")
    table.add_row("total, without mail", "", "", "", f"{total(priced.lines):.2f}", style="bold")
    return table


def _price(line: Line) -> str:
    price = f"{line.price:.10f}".rstrip("0").rstrip(".")
    units = {1.0: "", float(THOUSAND): " / thousand", float(MILLION): " / million"}
    return price + units.get(line.per, " / GB")


def _totals(priced: Bill, plain: Lines) -> Table:
    [transitions] = priced.standard
    standard = total(priced.standard + priced.rest)
    states = f"with WorkflowType STANDARD, {transitions.quantity:g} states a run"
    table = Table(title="For comparison")
    table.add_row(f"{priced.mail.usd:.2f}", "for the mail (SES)")
    table.add_row(f"{standard:.2f}", states)
    table.add_row(f"{total(plain):.2f}", "the straightforward design, one STANDARD workflow")
    return table


def _explain(usage: Usage) -> None:
    console.print(
        f"Counted in {usage.orders} orders of the happy path here, of {usage.lines:.1f} lines. The"
        f" priced order has {REFERENCE_LINES} lines and an e-mail address; {PER_DAY:,} arrive a"
        " day. Durations and DynamoDB's units are declared in infra/cost/deployment.py. Storage,"
        " the archive and scheduled functions are not counted.",
    )
    console.print(Styled(NOTE, "dim"))
