"""``orders replays``: list, pause, resume and cancel replays by their names."""

from dataclasses import replace
from typing import Annotated, Any

import typer

from infra.cli.errors import CommandError
from infra.cli.options import DATA, Data, Json, directory
from infra.cli.replaying.checkpoint import (
    CANCELLED,
    COMPLETED,
    PAUSED,
    RUNNING,
    Checkpoint,
    Checkpoints,
    is_alive,
)
from infra.cli.replaying.tally import Tally
from infra.local.directory.data_directory import DataDirectory
from infra.terminal.output import Table, console, finish

app = typer.Typer(help="Replays by name: list, show, pause, resume, cancel.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME")]

INTERRUPTED = "INTERRUPTED"
"""State of a replay whose process ended without a word."""


@app.command("list")
def list_replays(*, data: Data = DATA, as_json: Json = False) -> None:
    """List the replays, the oldest first."""
    found = _all(directory(data))
    table = Table("name", "state", "source", "sent", "started", right=("sent",))
    for each in found:
        table.add_row(each["name"], each["state"], each["source"], each["sent"], each["started"])
    console.print(table if found else "no replays")
    finish({"replays": found}, as_json=as_json)


@app.command("show")
def show(name: Name, *, data: Data = DATA, as_json: Json = False) -> None:
    """Show one replay with its counts."""
    found = next((each for each in reversed(_all(directory(data))) if each["name"] == name), None)
    if found is None:
        raise _unknown(name)
    table = Table()
    for label, value in found.items():
        is_counts = isinstance(value, dict)
        text = (
            ", ".join(f"{key} {number:,}" for key, number in value.items()) if is_counts else value
        )
        table.add_row(label.replace("_", " "), text)
    console.print(table)
    finish(found, as_json=as_json)


@app.command("pause")
def pause(name: Name, *, data: Data = DATA, as_json: Json = False) -> None:
    """Pause a running replay; resume continues it."""
    _finish(_ask(directory(data), name, PAUSED), as_json=as_json)


@app.command("cancel")
def cancel(name: Name, *, data: Data = DATA, as_json: Json = False) -> None:
    """End a replay for good; its events that were sent are not undone."""
    _finish(_ask(directory(data), name, CANCELLED), as_json=as_json)


@app.command("resume")
def resume(name: Name, *, data: Data = DATA, as_json: Json = False) -> None:
    """Continue a paused replay of the archive, or name the command of one of files."""
    found = _checkpoint(directory(data), name)
    if _state(found) not in (PAUSED, INTERRUPTED):
        raise CommandError(f"{name} is {_state(found)}; only a stopped replay is resumed")
    console.print("The same command continues it:")
    console.print_whole(found.command)
    finish({**_as_json(found), "command": found.command}, as_json=as_json)


def _ask(where: DataDirectory, name: str, state: str) -> dict[str, Any]:
    """Set the state of a replay, which its process reads, and return the replay."""
    found = _checkpoint(where, name)
    if found.state in (COMPLETED, CANCELLED) or (state == PAUSED and not is_alive(found)):
        raise CommandError(f"{name} is {_state(found)}; it is not running")
    return _as_json(Checkpoints(where.root).save(replace(found, state=state)))


def _checkpoint(where: DataDirectory, name: str) -> Checkpoint:
    found = Checkpoints(where.root).named(name)
    if found is None:
        raise _unknown(name)
    return found


def _unknown(name: str) -> CommandError:
    return CommandError(f"there is no replay {name}; see `orders replays list`")


def _all(where: DataDirectory) -> list[dict[str, Any]]:
    return [_as_json(each) for each in Checkpoints(where.root).all()]


def _state(checkpoint: Checkpoint) -> str:
    ended = checkpoint.state == RUNNING and not is_alive(checkpoint)
    return INTERRUPTED if ended else checkpoint.state


def _as_json(checkpoint: Checkpoint) -> dict[str, Any]:
    counts = Tally(checkpoint.counts)
    return {
        "name": checkpoint.name,
        "state": _state(checkpoint),
        "source": checkpoint.source,
        "started": checkpoint.started,
        "updated": checkpoint.updated,
        "sent": counts["accepted"],
        "rejected": counts["rejected"],
        "facts_skipped": counts["facts_skipped"],
        "interruptions": checkpoint.interruptions,
        "by_type": dict(counts.types),
    }


def _finish(replay: dict[str, Any], *, as_json: bool) -> None:
    console.print(f"{replay['name']} is {replay['state']}")
    finish(replay, as_json=as_json)
