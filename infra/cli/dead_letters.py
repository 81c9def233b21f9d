"""``orders dead-letters``: what waits for an operator, why, and its way back."""

import json
import urllib.error
import urllib.request
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from infra.cli.options import DATA, Data, Json, directory
from infra.cli.output import CommandError, console, finish
from infra.local.clock import Clock
from infra.local.datadir import DataDirectory
from infra.local.dead_letters import Letter, letters, redrive
from infra.local.platform import platform, stack_of

app = typer.Typer(help="What waits for an operator: list, show, redrive.", no_args_is_help=True)

Id = Annotated[int, typer.Argument(metavar="ID", min=1)]


@app.command("list")
def list_letters(
    queue: Annotated[str | None, typer.Option(help="Only of this queue.")] = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """List dead letters with their reasons, the oldest first."""
    found = _letters(directory(data), queue)
    table = Table("id", "queue", "since", "order", "reason")
    for letter in found[:200]:
        order = letter["order_id"] or ""
        table.add_row(
            str(letter["id"]), letter["queue"], letter["since"], order, Text(letter["reason"])
        )
    if found:
        console.print(table)
    else:
        console.print("no dead letters")
    finish({"dead_letters": found}, as_json=as_json)


@app.command("show")
def show_letter(number: Id, data: Data = DATA, as_json: Json = False) -> None:
    """Show one dead letter whole."""
    found = [letter for letter in _letters(directory(data), None) if letter["id"] == number]
    if not found:
        raise CommandError(f"there is no dead letter {number}; see `orders dead-letters list`")
    [letter] = found
    grid = Table.grid(padding=(0, 2))
    for key in ("id", "queue", "since", "from", "order_id", "reason"):
        grid.add_row(Text(key.replace("_", " "), style="bold"), Text(str(letter[key])))
    console.print(grid)
    console.print_json(json.dumps(letter["body"]))
    finish(letter, as_json=as_json)


@app.command("redrive")
def redrive_letters(
    ids: Annotated[list[int] | None, typer.Argument(metavar="ID…")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Send dead letters on their way again, once what they failed of is mended."""
    if bool(ids) is everything:
        raise typer.BadParameter("name dead letters by their id, or say --all")
    where = directory(data)
    where.require()
    number = _redrive(where, ids or [])
    console.print(f"{number} dead letters sent on their way again")
    if not where.served_at():
        console.print("`orders run --count 0` or `orders serve` works them off")
    finish({"redriven": number}, as_json=as_json)


def _letters(where: DataDirectory, queue: str | None) -> list[Letter]:
    queues = stack_of(where).dead_letter_queues
    if queue is not None and queue not in queues:
        raise CommandError(f"{queue!r} is no dead-letter queue; these are: {', '.join(queues)}")
    return letters(where.reader(), [queue] if queue else queues)


def _redrive(where: DataDirectory, ids: list[int]) -> int:
    served = where.served_at()
    if served:
        return int(_ask(served, {"ids": ids})["redriven"])
    with platform(where, clock=Clock(), workers=0) as engine:
        engine.only_journals = True
        answer = engine.call(lambda now: redrive(engine, ids, now))
        engine.turn(0)
        return answer.result(0)


def _ask(address: str, request: dict[str, Any]) -> Any:
    """Have the server that writes the data directory do it."""
    asked = urllib.request.Request(  # noqa: S310 - http, to the address that `serve` wrote
        address + "/",
        json.dumps(request).encode(),
        {"X-Amz-Target": "Orderflow.RedriveDeadLetters"},
    )
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise CommandError(json.load(error)["message"]) from None
    except OSError as error:
        raise CommandError(f"{address} does not answer: {error}") from None
