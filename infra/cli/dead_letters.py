"""``orders dead-letters``: what waits for an operator, why, and its way back."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
from infra.cli.output import CommandError, Styled, Table, console, finish
from infra.dead_letters import Letter, letters, redrive
from infra.local.clock import Clock
from infra.local.datadir import DataDirectory
from infra.local.platform import platform, stack_of

if TYPE_CHECKING:
    from infra.deployed.stack import DeployedStack

app = typer.Typer(
    help="What waits for an operator: list, show, redrive; on AWS as far as SQS shows it.",
    no_args_is_help=True,
)

Id = Annotated[str, typer.Argument(metavar="ID")]
Queue = Annotated[str | None, typer.Option(help="Only of this queue, by its id in the template.")]
SHOWN = 200


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
    """List dead letters with their reasons, the oldest first.

    SQS shows a message by handing it out. So of a deployed stack this is a sample, of 1,000 letters
    a queue at most; they are hidden from others for a moment, and their receive counts rise.
    """
    found = _letters(deployed(endpoint_url, profile, region, stack), data, queue)
    table = Table("id", "queue", "since", "order", "reason")
    for letter in found[:SHOWN]:
        table.add_row(*(letter[key] for key in ("id", "queue", "since", "order_id", "reason")))
    console.print(table if found else "no dead letters")
    if len(found) > SHOWN:
        console.print(f"the oldest {SHOWN} of {len(found)}; --json has all")
    finish({"dead_letters": found}, as_json=as_json)


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
    """Show one dead letter whole; of a deployed stack it is received for that, as by list."""
    all_letters = _letters(deployed(endpoint_url, profile, region, stack), data, None)
    found = [letter for letter in all_letters if str(letter["id"]) == number]
    if not found:
        raise CommandError(f"there is no dead letter {number}; see `orders dead-letters list`")
    [letter] = found
    facts = Table()
    for key in ("id", "queue", "since", "from", "order_id", "reason"):
        facts.add_row(Styled(key.replace("_", " "), "bold"), letter[key])
    console.print(facts)
    console.print_json(letter["body"])
    finish(letter, as_json=as_json)


@app.command("redrive")
def redrive_letters(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID…")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    endpoint_url: EndpointUrl = None,
    profile: Profile = None,
    region: Region = None,
    stack: StackName = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Send dead letters on their way again, once what they failed of is mended.

    Each goes back to where it failed: its queue, its target, its function, or a new run. A letter
    goes only after that was accepted. With --all on a deployed stack SQS itself moves what its
    queues gave up, which goes on after this command has ended.
    """
    if bool(ids) is everything:
        raise typer.BadParameter("name dead letters by their id, or say --all")
    there = deployed(endpoint_url, profile, region, stack)
    if there is not None:
        _redrive_there(there, ids or [], as_json=as_json)
        return
    where = directory(data)
    where.require()
    number = _redrive(where, [_number(one) for one in ids or []])
    console.print(f"{number} dead letters sent on their way again")
    if not where.served_at():
        console.print("`orders run --count 0` or `orders serve` works them off")
    finish({"redriven": number}, as_json=as_json)


def _letters(there: "DeployedStack | None", data: Path, queue: str | None) -> list[Letter]:
    if there is not None:
        from infra.deployed.dead_letters import DeadLetters

        return DeadLetters(there).letters(queue)
    where = directory(data)
    queues = stack_of(where).dead_letter_queues
    if queue is not None and queue not in queues:
        raise CommandError(f"{queue!r} is no dead-letter queue; these are: {', '.join(queues)}")
    return letters(where.reader(), [queue] if queue else queues)


def _redrive_there(there: "DeployedStack", ids: list[str], *, as_json: bool) -> None:
    from infra.deployed.dead_letters import DeadLetters

    done = DeadLetters(there).redrive(ids)
    console.print(f"{done.sent} dead letters sent on their way again")
    for queue, about in done.moving.items():
        if about:
            console.print(f"SQS moves about {about} of {queue} back to the queue they came from")
    finish({"redriven": done.sent, "moving": dict(done.moving)}, as_json=as_json)


def _number(given: str) -> int:
    if not given.isdecimal():
        raise typer.BadParameter(f"{given!r} is no id of this machine's dead letters: a number")
    return int(given)


def _redrive(where: DataDirectory, ids: list[int]) -> int:
    served = where.served_at()
    if served:
        return int(_ask(served, {"ids": ids}, where.token())["redriven"])
    with platform(where, clock=Clock(), workers=0) as engine:
        engine.only_journals = True
        answer = engine.call(lambda now: redrive(engine, ids, now))
        engine.turn(0)
        return answer.result(0)


def _ask(address: str, request: dict[str, Any], token: str | None) -> Any:
    """Have the server that writes the data directory do it."""
    headers = {"X-Amz-Target": "Orderflow.RedriveDeadLetters"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    asked = urllib.request.Request(  # noqa: S310 - http, to the address that `serve` wrote
        address + "/",
        json.dumps(request).encode(),
        headers,
    )
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise CommandError(json.load(error)["message"]) from None
    except OSError as error:
        raise CommandError(f"{address} does not answer: {error}") from None
