"""``orders dead-letters``: list, redrive, discard and edit messages that wait for an operator."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.commands import letter_jobs
from infra.cli.dead_letter_groups import as_json as groups_as_json
from infra.cli.dead_letter_groups import groups_of, write_file
from infra.cli.dead_letter_groups import show as show_groups
from infra.cli.dead_letter_output import show_answers, show_closed, show_one, show_open
from infra.cli.errors import CommandError
from infra.cli.event_input import event_from_editor, json_from_file
from infra.cli.groups import WholeHelp
from infra.cli.operator import operator, words_of
from infra.cli.options import DATA, Data, Json, StackOptions, directory, expand_options
from infra.cli.replaying.letter_source import selected
from infra.dead_letters.edit import edit_fields, event_in, require_contract
from infra.terminal.output import console, finish

if TYPE_CHECKING:
    from infra.cli.local_dead_letters import LocalDeadLetters
    from infra.deployed.dead_letters import DeployedDeadLetters
    from infra.views.dead_letter import DeadLetter

app = typer.Typer(
    help="Messages that wait for an operator: list, redrive, discard, edit them.",
    no_args_is_help=True,
)
app.add_typer(letter_jobs.app, name="jobs", cls=WholeHelp)

Id = Annotated[str, typer.Argument(metavar="ID")]
Ids = Annotated[list[str], typer.Argument(metavar="ID…")]
Queue = Annotated[str | None, typer.Option(help="Only of this queue, by its id in the template.")]
Reason = Annotated[
    str | None, typer.Option(help="Only those whose reason has this text, in any case.")
]
Wait = Annotated[float, typer.Option(min=0, max=3_600, help="Seconds to wait for the outcomes.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait for the outcomes.")]


PATIENCE = 30.0
"""Seconds that a redrive waits for the outcomes."""


@app.command("list")
@expand_options
def list_open(
    *,
    queue: Queue = None,
    reason: Reason = None,
    to_file: Annotated[
        Path | None,
        typer.Option("--to-file", metavar="FILE", help="Write their events, for orders replay."),
    ] = None,
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """List open dead letters with their reasons, the oldest first.

    SQS has no operation that lists messages, so this command receives them: the list of a
    deployed stack is a sample of at most 1,000 messages per queue. Received messages are invisible
    for some seconds, and their receive counts rise.
    """
    place = _place(stack, data)
    dead_letters = selected(place.open(queue), reason, None)
    if to_file is not None:
        finish(write_file(to_file, dead_letters), as_json=as_json)
        return
    pending = sum(
        item.closing is not None and item.closing.state == "PENDING" for item in place.closed()
    )
    show_open(dead_letters, pending)
    result = {"dead_letters": [item.to_json() for item in dead_letters], "pending": pending}
    finish(result, as_json=as_json)


@app.command("groups")
@expand_options
def list_groups(
    *,
    by: Annotated[
        letter_jobs.By, typer.Option(help="The reason without its values, the queue or the sender.")
    ] = letter_jobs.By.REASON,
    queue: Queue = None,
    reason: Reason = None,
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Group open dead letters by their cause, the largest group first, with samples.

    A reason's ids, numbers and quoted values do not count. Each group has its number of dead
    letters in the last hour.
    """
    dead_letters = selected(_place(stack, data).open(queue), reason, None)
    groups = groups_of(dead_letters, by.value, time.time())
    show_groups(groups, dead_letters)
    finish({"groups": groups_as_json(groups, dead_letters)}, as_json=as_json)


@app.command("history")
@expand_options
def list_closed(*, stack: StackOptions, data: Data = DATA, as_json: Json = False) -> None:
    """List dead letters that were redriven, discarded or have expired in the last 14 days."""
    closed = _place(stack, data).closed()
    show_closed(closed)
    finish({"closed_letters": [item.to_json() for item in closed]}, as_json=as_json)


@app.command("show")
@expand_options
def show(number: Id, *, stack: StackOptions, data: Data = DATA, as_json: Json = False) -> None:
    """Show one dead letter, open or closed, with its history.

    On a deployed stack this receives messages, as list does.
    """
    dead_letter = _find(_place(stack, data), number)
    show_one(dead_letter)
    finish(dead_letter.to_json(), as_json=as_json)


@app.command("redrive")
@expand_options
def redrive(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID…")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Redrive all.")] = False,
    wait: Wait = PATIENCE,
    no_wait: NoWait = False,
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Redrive dead letters after their cause is fixed.

    Each goes back to the queue, target or function where it failed, or becomes a new run. It leaves
    its queue in the transaction that stores its successor, and returns if the successor fails.
    Without a server on the directory, the command processes the due work there while it waits. With
    --all on a deployed stack, SQS itself moves messages back to their source queues, and
    continues after this command has ended.
    """
    if bool(ids) is everything:
        raise typer.BadParameter("name dead letters by their id, or say --all")
    _redrive(_place(stack, data), ids or [], 0.0 if no_wait else wait, as_json=as_json)


@app.command("discard")
@expand_options
def discard(
    ids: Ids,
    *,
    reason: Annotated[str, typer.Option(help="Why they need no action.")],
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Remove dead letters from their queues; undo restores them within 14 days.

    The compensation of an order is still retried, and leaves another dead letter if it fails.
    """
    answers = _place(stack, data).discard(ids, words_of("--reason", reason))
    discarded = any(answer["state"] == "discarded" for answer in answers)
    hint = "`orders dead-letters undo ID` restores one within 14 days" if discarded else ""
    _finish(answers, as_json=as_json, hint=hint)


@app.command("undo")
@expand_options
def restore(ids: Ids, *, stack: StackOptions, data: Data = DATA, as_json: Json = False) -> None:
    """Put discarded or expired dead letters back into their queues, under their own ids."""
    _finish(_place(stack, data).restore(ids), as_json=as_json)


@app.command("edit")
@expand_options
def edit(
    number: Id,
    *,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Such as detail.items[0].quantity=2."),
    ] = None,
    removed: Annotated[
        list[str] | None, typer.Option("--unset", metavar="FIELD", help="Remove a field.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The event as JSON; - reads stdin.")
    ] = None,
    redrive: Annotated[bool, typer.Option("--redrive", help="Redrive it afterwards.")] = False,
    wait: Wait = PATIENCE,
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Correct the event of a dead letter, by fields, from a file, or in $EDITOR.

    The event must keep its contract, and the history keeps the original. FIELD is a path in the
    event; unless it starts with a field of the envelope, it is a path in the detail. VALUE is JSON;
    anything else is text.
    """
    place = _place(stack, data)
    if (changes or removed) and file:
        raise typer.BadParameter("--set and --unset exclude --file")
    before = event_in(_find(place, number).to_json())
    if changes or removed:
        after = edit_fields(before, changes or [], removed or [])
    else:
        after = json_from_file("--file", file) if file else event_from_editor(before)
    if after == before:
        raise CommandError(f"dead letter {number} already has this event: nothing was changed")
    answer = place.edit(number, require_contract(after))
    if answer["state"] == "refused" or not redrive:
        _finish([answer], as_json=as_json)
        return
    show_answers([answer])
    _redrive(place, [number], wait, as_json=as_json)


def _place(stack: StackOptions, data: Path) -> "LocalDeadLetters | DeployedDeadLetters":
    """Return the dead letters of the deployed stack or, without one, of the data directory."""
    deployed = stack.deployed_stack()
    if deployed is not None:
        from infra.deployed.dead_letters import DeployedDeadLetters

        return DeployedDeadLetters(deployed, operator())
    from infra.cli.local_dead_letters import LocalDeadLetters

    return LocalDeadLetters(directory(data))


def _find(place: "LocalDeadLetters | DeployedDeadLetters", number: str) -> "DeadLetter":
    dead_letter = place.find(number)
    if dead_letter is None:
        raise CommandError(f"there is no dead letter {number}; see `orders dead-letters list`")
    return dead_letter


def _redrive(
    place: "LocalDeadLetters | DeployedDeadLetters",
    ids: Sequence[str],
    wait: float,
    *,
    as_json: bool,
) -> None:
    result = place.redrive(ids, wait)
    answers, served = result.pop("letters"), result.pop("served", True)
    for queue, number in result.get("moving", {}).items():
        if number:
            console.print(f"SQS moves about {number} of {queue} back to the queue they came from")
    if not answers and not result.get("moving"):
        console.print("no dead letters")
    hint = ""
    if any(answer["state"] == "running" for answer in answers):
        resume = "" if served else "; `orders serve` or `orders run --count 0` continues them"
        hint = f"`orders dead-letters history` shows the outcome of those still running{resume}"
    sent = sum(answer["state"] != "refused" for answer in answers)
    _finish(answers, as_json=as_json, hint=hint, redriven=sent, **result)


def _finish(
    answers: Sequence[Mapping[str, Any]], *, as_json: bool, hint: str = "", **result: Any
) -> None:
    """Print the answers; raise `CommandError` if a dead letter was refused or returned."""
    if answers:
        show_answers(answers)
    if hint:
        console.print(hint)
    finish({**result, "letters": list(answers)}, as_json=as_json)
    counts = [
        f"{number} {verb}"
        for state, verb in (("refused", "were refused"), ("back", "came back"))
        if (number := sum(answer["state"] == state for answer in answers))
    ]
    if counts:
        total = len(answers)
        raise CommandError(f"of {total} dead letters {' and '.join(counts)}; see each message")
