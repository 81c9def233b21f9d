"""``orders dead-letters``: list, redrive, discard and edit messages that wait for an operator."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.dead_letter_output import show_answers, show_closed, show_one, show_open
from infra.cli.errors import CommandError
from infra.cli.operator import operator
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
from infra.dead_letters.edit import checked, edited, event_in
from infra.errors import Refusal
from infra.terminal.output import console, finish
from kernel.json_text import InvalidJSON, read

if TYPE_CHECKING:
    from infra.cli.local_dead_letters import LettersHere
    from infra.deployed.dead_letters import DeadLetters

app = typer.Typer(
    help="Messages that wait for an operator: list, redrive, discard, edit them.",
    no_args_is_help=True,
)

Id = Annotated[str, typer.Argument(metavar="ID")]
Ids = Annotated[list[str], typer.Argument(metavar="ID…")]
Queue = Annotated[str | None, typer.Option(help="Only of this queue, by its id in the template.")]
Wait = Annotated[
    float, typer.Option(min=0, max=3_600, help="Seconds to wait for what becomes of them.")
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Only put them on their way.")]
PATIENCE = 30.0
"""Seconds that a redrive waits for what becomes of its letters."""


@app.command("list")
def list_letters(
    queue: Queue = None,
    endpoint_url: EndpointUrl = None,
    profile: Profile = None,
    region: Region = None,
    stack: StackName = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """List open dead letters with their reasons, the oldest first.

    SQS shows a message by handing it out. So of a deployed stack this is a sample, of 1,000 letters
    a queue at most; they are hidden from others for a moment, and their receive counts rise.
    """
    place = _place(endpoint_url, profile, region, stack, data)
    found = place.letters(queue)
    pending = sum(letter["state"] == "PENDING" for letter in place.closed())
    show_open(found, pending)
    finish({"dead_letters": found, "pending": pending}, as_json=as_json)


@app.command("history")
def list_closed(
    endpoint_url: EndpointUrl = None,
    profile: Profile = None,
    region: Region = None,
    stack: StackName = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """List letters that were redriven, discarded or have expired in the last 14 days."""
    found = _place(endpoint_url, profile, region, stack, data).closed()
    show_closed(found)
    finish({"closed_letters": found}, as_json=as_json)


@app.command("show")
def show_letter(
    number: Id,
    endpoint_url: EndpointUrl = None,
    profile: Profile = None,
    region: Region = None,
    stack: StackName = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Show one dead letter whole, with what was done with it, also a closed one.

    Of a deployed stack it is received for that, as by list.
    """
    letter = _found(_place(endpoint_url, profile, region, stack, data), number)
    show_one(letter)
    finish(dict(letter), as_json=as_json)


@app.command("redrive")
def redrive_letters(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID…")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    wait: Wait = PATIENCE,
    no_wait: NoWait = False,
    endpoint_url: EndpointUrl = None,
    profile: Profile = None,
    region: Region = None,
    stack: StackName = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Send dead letters on their way again, once the cause of their failure is corrected.

    Each goes back to where it failed: its queue, its target, its function, or a new run. It leaves
    its queue in the transaction that stores its successor, and comes back if the successor fails.
    Without a server on the directory, the command itself processes what is due there while it
    waits. With --all on a deployed stack SQS itself moves what its queues gave up, which goes on
    after this command has ended.
    """
    if bool(ids) is everything:
        raise typer.BadParameter("name dead letters by their id, or say --all")
    place = _place(endpoint_url, profile, region, stack, data)
    _redrive(place, ids or [], 0.0 if no_wait else wait, as_json=as_json)


@app.command("discard")
def discard_letters(
    ids: Ids,
    reason: Annotated[str, typer.Option(help="Why nothing has to be done about them.")],
    endpoint_url: EndpointUrl = None,
    profile: Profile = None,
    region: Region = None,
    stack: StackName = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Take dead letters out of their queues for good; kept for 14 days, and undo puts them back.

    An order that is still being undone goes on being tried, and gets another letter if that fails.
    """
    if not reason.strip():
        raise typer.BadParameter("--reason: say why nothing has to be done about them")
    answers = _place(endpoint_url, profile, region, stack, data).discard(ids, reason.strip())
    done = any(one["state"] == "discarded" for one in answers)
    hint = "`orders dead-letters undo ID` puts one back, for 14 days" if done else ""
    _finish(answers, as_json=as_json, hint=hint)


@app.command("undo")
def restore_letters(
    ids: Ids,
    endpoint_url: EndpointUrl = None,
    profile: Profile = None,
    region: Region = None,
    stack: StackName = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Put discarded or expired dead letters back into their queues, under their own ids."""
    answers = _place(endpoint_url, profile, region, stack, data).restore(ids)
    _finish(answers, as_json=as_json)


@app.command("edit")
def edit_letter(
    number: Id,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Such as detail.items[0].quantity=2."),
    ] = None,
    removed: Annotated[
        list[str] | None, typer.Option("--unset", metavar="FIELD", help="Remove a field.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The whole event as JSON; - reads it.")
    ] = None,
    redrive: Annotated[bool, typer.Option("--redrive", help="Then redrive it.")] = False,
    wait: Wait = PATIENCE,
    endpoint_url: EndpointUrl = None,
    profile: Profile = None,
    region: Region = None,
    stack: StackName = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Put the event of a dead letter right, by fields, from a file, or in $EDITOR.

    The event is held to its contract, and the original stays in the letter's history. FIELD is a
    path in the event; without an envelope's field in front it is one of its detail. VALUE is JSON
    or, where it is none, text.
    """
    place = _place(endpoint_url, profile, region, stack, data)
    if (changes or removed) and file:
        raise typer.BadParameter("--set and --unset exclude --file")
    before = event_in(_found(place, number))
    if changes or removed:
        after = edited(before, changes or [], removed or [])
    else:
        after = _read(file) if file else _from_editor(before)
    if after == before:
        raise CommandError(f"dead letter {number} is as it was: nothing was changed")
    answer = place.edit(number, checked(after))
    if answer["state"] == "refused" or not redrive:
        _finish([answer], as_json=as_json)
        return
    show_answers([answer])
    _redrive(place, [number], wait, as_json=as_json)


def _place(
    endpoint_url: str | None, profile: str | None, region: str | None, stack: str | None, data: Path
) -> "LettersHere | DeadLetters":
    """Return where the letters are: a deployed stack, or a directory of this machine."""
    there = deployed(endpoint_url, profile, region, stack)
    if there is not None:
        from infra.deployed.dead_letters import DeadLetters

        return DeadLetters(there, operator())
    from infra.cli.local_dead_letters import LettersHere

    return LettersHere(directory(data))


def _found(place: "LettersHere | DeadLetters", number: str) -> Mapping[str, Any]:
    letter = place.find(number)
    if letter is None:
        raise CommandError(f"there is no dead letter {number}; see `orders dead-letters list`")
    return letter


def _redrive(
    place: "LettersHere | DeadLetters", ids: Sequence[str], wait: float, *, as_json: bool
) -> None:
    done = place.redrive(ids, wait)
    answers, served = done.pop("letters"), done.pop("served", True)
    for queue, about in done.get("moving", {}).items():
        if about:
            console.print(f"SQS moves about {about} of {queue} back to the queue they came from")
    if not answers and not done.get("moving"):
        console.print("no dead letters")
    hint = ""
    if any(one["state"] == "running" for one in answers):
        goes_on = "" if served else "; `orders serve` or `orders run --count 0` goes on with it"
        hint = f"`orders dead-letters history` tells what becomes of what still runs{goes_on}"
    sent = sum(one["state"] != "refused" for one in answers)
    _finish(answers, as_json=as_json, hint=hint, redriven=sent, **done)


def _finish(
    answers: Sequence[Mapping[str, Any]], *, as_json: bool, hint: str = "", **result: Any
) -> None:
    """Tell what was done with each letter; fail if it was not what was asked for."""
    if answers:
        show_answers(answers)
    if hint:
        console.print(hint)
    finish({**result, "letters": list(answers)}, as_json=as_json)
    counts = [
        f"{number} {said}"
        for state, said in (("refused", "were refused"), ("back", "came back"))
        if (number := sum(one["state"] == state for one in answers))
    ]
    if counts:
        number = len(answers)
        raise CommandError(f"of {number} dead letters {' and '.join(counts)}; each says why")


def _read(file: Path) -> Any:
    try:
        text = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise CommandError(f"--file: {file} cannot be read: {error.strerror}") from None
    return _event(text, f"--file: {file}")


def _from_editor(before: Any) -> Any:
    """Return the event as the user's editor leaves it."""
    program = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not program:
        raise CommandError(
            "say what to change with --set FIELD=VALUE, --unset FIELD or --file FILE; or name an"
            " editor in EDITOR"
        )
    text = before if isinstance(before, str) else json.dumps(before, indent=2, ensure_ascii=False)
    descriptor, name = mkstemp(prefix="orders-", suffix=".json")  # for this user's eyes alone
    with os.fdopen(descriptor, "w", encoding="utf-8") as written:
        written.write(text)
    try:
        code = subprocess.run([*shlex.split(program), name], check=False).returncode  # noqa: S603 - the user's own editor
    except (OSError, ValueError) as error:
        Path(name).unlink()
        raise CommandError(f"the editor {program!r} cannot be started: {error}") from None
    if code:
        Path(name).unlink()
        raise CommandError(f"the editor {program!r} ended with {code}; nothing was changed")
    try:
        event = _event(Path(name).read_bytes(), "the event")
        if event != before:
            checked(event)
    except Refusal as error:
        raise CommandError(
            f"{error}; your text is in {name}: correct it, and pass --file"
        ) from None
    Path(name).unlink()
    return event


def _event(text: bytes, what: str) -> Any:
    try:
        return read(text)
    except InvalidJSON as error:
        raise CommandError(f"{what} is not JSON: {error}") from None
