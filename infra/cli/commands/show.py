"""``orders show``: everything about one order."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from infra.cli.errors import CommandError
from infra.cli.options import DATA, Data, Json, StackOptions, directory, expand_options
from infra.cli.order_output import STYLES, amount
from infra.terminal.output import Styled, Table, console, finish
from infra.views.local_story import confirmation_mail, read_story
from infra.views.order_story import OrderStory, Payment, Retry, StoryAction, StoryShipment
from kernel.order_status import ShipmentStatus

LINES = 6
ENTRIES = 24
"""Lines of an order and entries of its timeline that fit on one screen."""

_FIRST, _LAST = 12, 11
"""Entries before and after the gap in a longer timeline."""


@expand_options
def show(
    order_id: Annotated[
        str,
        typer.Argument(
            metavar="ORDER_ID",
            help="Its id; on one machine also an EventId, a tracking number, or the id of its"
            " correlation, charge or shipment.",
        ),
    ],
    *,
    mail: Annotated[
        Path | None,
        typer.Option(metavar="FILE.eml", help="Write its confirmation mail to a file."),
    ] = None,
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Show everything about one order: events, states with attempts, payments, stock, shipment."""
    deployed = stack.deployed_stack()
    if deployed is None:
        story = read_story(directory(data), order_id)
        if mail is not None:
            _write(mail, confirmation_mail(directory(data), order_id))
    elif mail is not None:
        raise CommandError("--mail: SES sends a deployed stack's mails, and keeps none")
    else:
        from infra.deployed import orders

        story = orders.read_story(deployed, order_id)
    by = f", found by the {story.found_by}" if story.found_by else ""
    head = f"{story.order_id} {story.status}{by}"
    console.print(Styled(head, f"bold {STYLES.get(story.status, '')}"), "")
    console.print(_head(story), "", _timeline(story), "", _facts(story))
    finish(story.to_json(), as_json=as_json)


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise CommandError(f"--mail: {file} cannot be written: {error.strerror}") from None


def _head(story: OrderStory) -> Table:
    table = Table()
    facts = story.facts
    if facts is None or story.total is None:
        table.add_row("no record: its events opened no order")
        return table
    lines = [f"{line.quantity} x {line.sku}" for line in facts.items]
    more = f" and {len(lines) - LINES} more" if len(lines) > LINES else ""
    rows = {
        "customer": facts.customer_id,
        "placed": facts.placed_at,
        "total": amount(story.total, facts.currency),
        "runs": ", ".join(_runs(story, facts.attempts)),
        "lines": ", ".join(lines[:LINES]) + more,
    }
    if facts.failure:
        rows["reason"] = f"{facts.failure.reason}: {facts.failure.message}"
    if story.stuck_on:
        rows["now"] = story.stuck_on
    for label, value in rows.items():
        table.add_row(Styled(label, "bold"), value)
    return table


def _runs(story: OrderStory, waits: int) -> Iterator[str]:
    """Yield the number of runs and waits, and the states that made more than one attempt."""
    number = len(story.runs)
    yield "1 run" if number == 1 else f"{number} runs"
    if waits:
        yield "waited once" if waits == 1 else f"waited {waits} times"
    redrives = sum(run.redrives for run in story.runs)
    if redrives:
        yield "redriven once" if redrives == 1 else f"redriven {redrives} times"
    attempts: Counter[str] = Counter()
    errors: dict[str, str] = {}
    for each in (each for run in story.runs for each in run.attempts):
        attempts[each.state] += each.attempts
        if each.error:
            errors[each.state] = each.error
    for state, error in errors.items():
        yield f"{attempts[state]} attempts of {state} ({error})"


def _timeline(story: OrderStory) -> Table:
    table = Table("when (UTC)", "what", "epoch", "detail")
    entries = story.timeline
    fits = len(entries) <= ENTRIES
    shown = entries if fits else [*entries[:_FIRST], None, *entries[-_LAST:]]
    for entry in shown:
        if entry is None:
            table.add_row("…", f"{len(entries) - _FIRST - _LAST} more", "", "see --json")
            continue
        detail = ", ".join(f"{key} {value}" for key, value in entry.detail.items())
        when = entry.at.replace("T", " ").rstrip("Z")
        table.add_row(when, entry.what, entry.epoch, detail)
    return table


def _facts(story: OrderStory) -> Table:
    counts = Counter(event.type for event in story.events)
    events = [f"{name} x{number}" if number > 1 else name for name, number in counts.items()]
    rows = [("events", ", ".join(events))]
    rows += [("refused", refusal) for refusal in story.refusals]
    rows += [("payment", _payment(payment)) for payment in story.payments]
    if story.facts and story.facts.reservation:
        rows.append(("stock", story.facts.reservation))
    if story.shipment:
        rows.append(("shipment", _shipment(story.shipment)))
    if story.review:
        rows.append(("review", f"{story.review.status} (high value)"))
    if story.mail:
        rows.append(("mail", story.mail))
    rows += [
        ("request", f"{request.type} since {request.since}, kept for a day until its order arrives")
        for request in story.requests
    ]
    rows += [
        ("dead letter", f"{dead_letter.queue} #{dead_letter.id}: {dead_letter.reason}")
        for dead_letter in story.dead_letters
    ]
    rows += [("retry", _retry(retry)) for retry in story.retries]
    rows += [("operator", _action(action)) for action in story.actions]
    table = Table()
    for label, value in rows:
        table.add_row(Styled(label, "bold"), value)
    return table


def _shipment(shipment: StoryShipment) -> str:
    """Return a shipment's status; the carrier may have taken one that it did not confirm."""
    if not shipment.tracking_number and shipment.status == ShipmentStatus.VOIDED:
        return "none; voided in case that the carrier took it"
    return f"{shipment.status} {shipment.tracking_number or ''}".strip()


def _payment(payment: Payment) -> str:
    gateway = f", gateway says {payment.gateway}" if payment.gateway else ""
    return f"{payment.status} {amount(payment.amount, payment.currency)}{gateway}"


def _action(action: StoryAction) -> str:
    """Return an operator's action, its reason, and its result unless that is DONE."""
    why = f": {action.reason}" if action.reason else ""
    result = "" if action.result == "DONE" else f" ({action.result.lower()})"
    problem = f" - {action.problem}" if action.problem else ""
    return f"{action.action} by {action.actor} at {action.at}{why}{result}{problem}"


def _retry(retry: Retry) -> str:
    """Return when a message is received again, and why it failed."""
    return f"{retry.queue} at {retry.next}, attempt {retry.attempts + 1}: {retry.reason}"
