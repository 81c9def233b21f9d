"""``orders subscribe`` and ``orders unsubscribe``: a developer's own rules on one machine."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from infra.cli.errors import CommandError
from infra.cli.options import DATA, Data, Json, directory
from infra.local.directory.data_directory import DataDirectory
from infra.terminal.output import Styled, console, finish
from infra.views.subscriptions import subscriptions


def subscribe(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The rule's name.")] = "",
    pattern: Annotated[
        str, typer.Option(metavar="JSON|FILE", help="The event pattern, as JSON or in a file.")
    ] = "",
    to: Annotated[
        str, typer.Option("--to", metavar="TARGET", help="http://127.0.0.1:PORT/…, queue, or file.")
    ] = "",
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Send each event that matches a pattern to your program; without options, list the rules.

    A local rule is no part of template.yaml. A client of SQS reads `queue`; `file` has a line of
    JSON for each event. An event is sent at least once, and again for an hour until the program
    answers.
    """
    where = directory(data)
    if not (name or pattern or to):
        _list(where, as_json=as_json)
        return
    for option, value in (("NAME", name), ("--pattern", pattern), ("--to", to)):
        if not value:
            raise CommandError(f"{option}: is missing; give NAME, --pattern and --to, or none")
    from infra.cli.local_operations import operate

    answer, served = operate(where, "Subscribe", rule=name, pattern=_text(pattern), to=to)
    place = {
        "http": f"posted to {answer['address']}",
        "file": f"added to {where.root / 'subscriptions' / answer['address']}",
        "local_queue": f"a message of the queue {answer['address']}",
    }[answer["kind"]]
    console.print(f"{name}: each matching event is {place}")
    if answer["kind"] == "local_queue":
        console.print(f"  aws sqs receive-message --queue-url {answer['address']}")
    if not served:
        console.print("This directory is not served: `orders serve` sends the events.")
    finish(answer, as_json=as_json)


def unsubscribe(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The rule's name.")],
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Delete a rule of `orders subscribe` or PutRule, with the events that wait for its targets."""
    from infra.cli.local_operations import operate

    answer, _ = operate(directory(data), "Unsubscribe", rule=name)
    console.print(f"{name}: no event is sent any more")
    finish(answer, as_json=as_json)


def _text(pattern: str) -> str:
    """Return the JSON of a pattern that is given as such or as a file."""
    if pattern.lstrip().startswith("{"):
        return pattern
    try:
        return Path(pattern).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = f"--pattern: {pattern} is neither JSON nor a readable file ({error})"
        raise CommandError(problem) from None


def _list(where: DataDirectory, *, as_json: bool) -> None:
    found = subscriptions(where.reader()) if where.database.exists() else []
    if not found:
        console.print("No local rule: `orders subscribe NAME --pattern … --to …` makes one.")
    for each in found:
        console.print(Styled(f"{each.rule} (local)", "bold"), f"  pattern {each.pattern}")
        console.print(f"  {each.kind} {each.address}, {each.waiting} waiting")
        if each.problem:
            console.print(f"  last problem: {each.problem}")
    finish({"subscriptions": [asdict(each) for each in found]}, as_json=as_json)
