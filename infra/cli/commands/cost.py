"""``orders cost``: the price of a run's orders on AWS, and what a deployed stack really cost."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.errors import CommandError
from infra.cli.options import DATA, Data, Json, StackOptions, directory, expand_options
from infra.cost.approvals import approved
from infra.cost.bill import REFERENCE_LINES, Bill, Line, Lines, bill, total
from infra.cost.contrast import contrast
from infra.cost.deployment import PER_DAY, read_deployment
from infra.cost.hosted_console import hour_of_console
from infra.cost.monthly import fixed, kept
from infra.cost.prices import MILLION, NOTE, THOUSAND
from infra.cost.refusals import refused
from infra.cost.usage import Usage, read_usage
from infra.local.template.loader import STACK
from infra.local.template.project import TEMPLATE
from infra.terminal.output import Styled, Table, console, finish
from kernel import clock

if TYPE_CHECKING:
    from infra.deployed.spending import Spending


SERVICES = {
    "AWS Step Functions": "step_functions_",
    "AWS Lambda": "lambda_",
    "AmazonCloudWatch": "cloudwatch_",
    "AWS X-Ray": "xray_",
    "CloudWatch Events": "eventbridge_",
    "Amazon EventBridge": "eventbridge_",
    "Amazon API Gateway": "http_api_",
    "Amazon Simple Queue Service": "sqs_",
    "Amazon DynamoDB": "dynamodb_",
    "Amazon Kinesis Firehose": "firehose_",
    "Amazon Simple Storage Service": "s3_",
    "Amazon Athena": "athena_",
}
"""The lines of the model by the names of services in Cost Explorer."""


@expand_options
def cost(
    *,
    days: Annotated[
        int, typer.Option(min=1, max=365, help="Number of whole days of the stack's real cost.")
    ] = 7,
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Print the price of a million orders like those of a run on AWS, line by line.

    With --stack, also print the stack's real cost on the last whole days, from Cost Explorer by its
    tags; each request costs 0.01 USD.
    """
    deployed = stack.deployed_stack()
    usage = _usage(data)
    try:
        deployment = read_deployment(TEMPLATE)
        priced, refusals = bill(usage, deployment), refused(deployment)
        decisions = approved(deployment)
    except KeyError as error:
        raise CommandError(
            f"{error.args[0]} is not in the model; add it to infra/cost/deployment.py"
        ) from None
    monthly, storage = fixed(TEMPLATE), kept(usage)
    console_hour = total(hour_of_console(TEMPLATE))
    console.print(_table(priced), "", _totals(priced, refusals, decisions, console_hour), "")
    console.print(_monthly(monthly, storage), "")
    answer = _answer(priced, monthly, storage) | {
        "refused_total": round(total(refusals), 2),
        "approved_total": round(total(decisions), 2),
        "console_hour": round(console_hour, 4),
    }
    if deployed is not None:
        from infra.deployed.spending import spending

        today = datetime.fromtimestamp(clock.now(), UTC).date()
        spent = spending(deployed, stack.stack or STACK, days, today)
        console.print(_spent(spent, priced), "")
        answer["spent"] = _spent_answer(spent)
    _explain(usage)
    finish(answer, as_json=as_json)


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


def _totals(priced: Bill, refusals: Lines, decisions: Lines, console_hour: float) -> Table:
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
    table.add_row(
        f"{total(refusals):.2f}", "a million refused orders, each with its dead letter and fact"
    )
    table.add_row(
        f"{total(decisions):.2f}",
        "more for a million orders of high value that a person approves, with the mail",
    )
    table.add_row(
        f"{console_hour:.2f}", "an hour of an open overview of the hosted console (Console=hosted)"
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


def _spent(spent: "Spending", priced: Bill) -> Table:
    title = f"Spent from {spent.start} to {spent.end}, {spent.orders:,.0f} orders completed"
    columns = ("service", "USD", "a million orders", "the model above")
    table = Table(*columns, title=title, right=columns[1:])
    for row in spent_rows(spent, priced):
        table.add_row(*row, style="bold" if row[0] == "total" else "")
    return table


def spent_rows(spent: "Spending", priced: Bill) -> list[tuple[str, str, str, str]]:
    """Return a row for each service, most expensive first, and their total.

    A row has the service, the USD spent, the USD for a million orders and those of the model.
    """
    rows = []
    for service, usd in sorted(spent.services.items(), key=lambda item: -item[1]):
        prefix = SERVICES.get(service)
        lines = [line for line in priced.lines if prefix and line.name.startswith(prefix)]
        model = f"{total(tuple(lines)):.2f}" if lines else "-"
        rows.append((service, f"{usd:.2f}", _per_million(spent, usd), model))
    usd = sum(spent.services.values())
    model = f"{total(priced.lines):.2f}"
    return [*rows, ("total", f"{usd:.2f}", _per_million(spent, usd), model)]


def _per_million(spent: "Spending", usd: float) -> str:
    amount = spent.per_million(usd)
    return "-" if amount is None else f"{amount:.2f}"


def _spent_answer(spent: "Spending") -> dict[str, object]:
    return {
        "start": spent.start.isoformat(),
        "end": spent.end.isoformat(),
        "orders": spent.orders,
        "tags": dict(spent.tags),
        "services": {
            name: {"usd": round(usd, 4), "per_million": spent.per_million(usd)}
            for name, usd in spent.services.items()
        },
    }


def _explain(usage: Usage) -> None:
    console.print(
        f"Counted in {usage.orders} orders of the happy path here, of {usage.lines:.1f} lines. The"
        f" priced order has {REFERENCE_LINES} lines and an e-mail address; {PER_DAY:,} arrive a"
        " day at the stage prod. Durations and DynamoDB's units are declared in"
        " infra/cost/deployment.py, storage is in infra/cost/monthly.py.",
    )
    console.print(Styled(NOTE, "dim"))
