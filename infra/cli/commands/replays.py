"""``orders replays``: list, pause, resume and cancel replays by their names."""

import time
from dataclasses import replace
from typing import Annotated, Any

import typer

from infra.cli.errors import CommandError
from infra.cli.options import DATA, AccountOptions, Data, Json, directory, expand_options
from infra.cli.replaying import archive_replay
from infra.cli.replaying.checkpoint import (
    CANCELLED,
    ENDED,
    PAUSED,
    RUNNING,
    Checkpoint,
    Checkpoints,
)
from infra.cli.replaying.tally import Tally
from infra.local.directory.data_directory import DataDirectory
from infra.local.platform import stack_of
from infra.terminal.output import Table, console, finish

app = typer.Typer(
    help="Replays of files and of the archive: list, show, pause, resume, cancel.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="NAME")]

INTERRUPTED = "INTERRUPTED"
"""State of a replay of files whose process ended without a word."""

PATIENCE, POLL = 10.0, 0.05
"""Seconds that a running replay may take to stop, and between two looks at it."""


@app.command("list")
@expand_options
def list_replays(*, account: AccountOptions, data: Data = DATA, as_json: Json = False) -> None:
    """List the replays, the oldest first; on AWS those of the archive."""
    found = _all(account, directory(data))
    table = Table("name", "state", "source", "sent", "started", right=("sent",))
    for each in found:
        table.add_row(each["name"], each["state"], each["source"], each["sent"], each["started"])
    console.print(table if found else "no replays")
    finish({"replays": found}, as_json=as_json)


@app.command("show")
@expand_options
def show(name: Name, *, account: AccountOptions, data: Data = DATA, as_json: Json = False) -> None:
    """Show one replay with its counts."""
    found = _find(account, directory(data), name)
    table = Table()
    for label, value in found.items():
        table.add_row(label.replace("_", " "), _in_words(value))
    console.print(table)
    finish(found, as_json=as_json)


def _in_words(value: Any) -> Any:
    """Return counts and lists as text, and any other value unchanged."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {count:,}" for key, count in value.items())
    return ", ".join(value) if isinstance(value, list) else value


@app.command("pause")
def pause(name: Name, *, data: Data = DATA, as_json: Json = False) -> None:
    """Pause a running replay; resume continues it."""
    where = directory(data)
    if _is_of_archive(where, name):
        archive_replay.change(where, "PauseReplay", name)
    else:
        _stop(where, name, PAUSED)
    _finish(where, name, as_json=as_json)


@app.command("resume")
def resume(name: Name, *, data: Data = DATA, as_json: Json = False) -> None:
    """Continue a paused replay of the archive, or print the command of one of files."""
    where = directory(data)
    if _is_of_archive(where, name):
        archive_replay.change(where, "ResumeReplay", name)
        _finish(where, name, as_json=as_json)
        return
    found = _checkpoint(where, name)
    if _state(where, found) not in (PAUSED, INTERRUPTED):
        raise CommandError(f"{name} is {_state(where, found)}; only a stopped replay is resumed")
    console.print("The same command continues it:")
    if not as_json:
        console.print_whole(found.command)
    finish({**_as_json(where, found), "command": found.command}, as_json=as_json)


@app.command("cancel")
@expand_options
def cancel(
    name: Name, *, account: AccountOptions, data: Data = DATA, as_json: Json = False
) -> None:
    """End a replay permanently; the effects of sent events remain."""
    where = directory(data)
    if account.given:
        _deployed(account, where).cancel(name)
        found = _find(account, where, name)
        console.print(f"{name} is {found['state']}")
        finish(found, as_json=as_json)
        return
    if _is_of_archive(where, name):
        archive_replay.change(where, "CancelReplay", name)
    else:
        _stop(where, name, CANCELLED)
    _finish(where, name, as_json=as_json)


def _deployed(account: AccountOptions, where: DataDirectory) -> Any:
    from infra.deployed.archive_replays import ArchiveReplays

    named = account.account()
    assert named is not None
    return ArchiveReplays(named, stack_of(where).archive)


def _all(account: AccountOptions, where: DataDirectory) -> list[dict[str, Any]]:
    if account.given:
        found: list[dict[str, Any]] = _deployed(account, where).all()
        return found
    files = [_as_json(where, each) for each in Checkpoints(where.root).all()]
    return sorted(files + archive_replay.all_replays(where), key=lambda each: str(each["started"]))


def _find(account: AccountOptions, where: DataDirectory, name: str) -> dict[str, Any]:
    """Return the newest replay of a name, or raise `CommandError`."""
    if account.given:
        found: dict[str, Any] = _deployed(account, where).find(name)
        return found
    named = [each for each in _all(account, where) if each["name"] == name]
    if not named:
        raise _unknown(name)
    return named[-1]


def _is_of_archive(where: DataDirectory, name: str) -> bool:
    return any(each["name"] == name for each in archive_replay.all_replays(where))


def _stop(where: DataDirectory, name: str, state: str) -> None:
    """Let the process of a replay of files end in a state; without one, set the state."""
    found, checkpoints = _checkpoint(where, name), Checkpoints(where.root)
    running = checkpoints.is_running(found.key)
    if found.state in ENDED or (state == PAUSED and not running):
        raise CommandError(f"{name} is {_state(where, found)}; it is not running")
    if not running:
        with checkpoints.held(found.key):
            checkpoints.save(replace(found, state=state))
        return
    checkpoints.ask(found.key, state)
    end = time.monotonic() + PATIENCE
    while checkpoints.is_running(found.key):
        if time.monotonic() > end:
            raise CommandError(
                f"{name} has not stopped in {PATIENCE:g} s; it stops after its present request"
            )
        time.sleep(POLL)


def _checkpoint(where: DataDirectory, name: str) -> Checkpoint:
    found = Checkpoints(where.root).named(name)
    if found is None:
        raise _unknown(name)
    return found


def _unknown(name: str) -> CommandError:
    return CommandError(f"there is no replay {name}; see `orders replays list`")


def _state(where: DataDirectory, checkpoint: Checkpoint) -> str:
    is_running = Checkpoints(where.root).is_running(checkpoint.key)
    return INTERRUPTED if checkpoint.state == RUNNING and not is_running else checkpoint.state


def _as_json(where: DataDirectory, checkpoint: Checkpoint) -> dict[str, Any]:
    counts = Tally(checkpoint.counts)
    return {
        "name": checkpoint.name,
        "state": _state(where, checkpoint),
        "source": checkpoint.source,
        "started": checkpoint.started,
        "updated": checkpoint.updated,
        "sent": counts["accepted"],
        "rejected": counts["rejected"],
        "facts_skipped": counts["facts_skipped"],
        "interruptions": checkpoint.interruptions,
        "by_type": dict(counts.types),
    }


def _finish(where: DataDirectory, name: str, *, as_json: bool) -> None:
    found = _find(AccountOptions(), where, name)
    console.print(f"{name} is {found['state']}")
    finish(found, as_json=as_json)
