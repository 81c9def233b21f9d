"""``orders dead-letters jobs``: redrive or discard many dead letters at a pace, and undo it."""

from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.cli.errors import CommandError
from infra.cli.letter_job_output import show_job, show_jobs
from infra.cli.operator import words_of
from infra.cli.options import DATA, Data, Json, StackOptions, directory, expand_options
from infra.local.directory.data_directory import DataDirectory
from infra.terminal.output import console, finish
from infra.views.letter_groups import MAX_LETTERS

app = typer.Typer(
    help="Jobs on dead letters: redrive or discard many at a pace, pause, cancel, undo.",
    no_args_is_help=True,
)

Job = Annotated[int, typer.Argument(metavar="JOB", min=1, max=(1 << 63) - 1)]
Wait = Annotated[float, typer.Option(min=0, max=3_600, help="Seconds to wait for its end.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait for its end.")]

PATIENCE = 30.0
"""Seconds that a command waits for the end of a job."""

ALL = -1
"""SQLite's limit of a query for every row."""


class Action(StrEnum):
    """The actions of a job."""

    REDRIVE = "redrive"
    DISCARD = "discard"


class By(StrEnum):
    """The fields that dead letters are grouped by."""

    REASON = "reason"
    QUEUE = "queue"
    CONSUMER = "consumer"


@app.command("start")
@expand_options
def start(
    action: Annotated[Action, typer.Argument(metavar="ACTION", help="redrive or discard.")],
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID…")] = None,
    *,
    group: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Those of one cause; `dead-letters groups` has the keys."),
    ] = None,
    by: Annotated[By, typer.Option(help="The field of the group.")] = By.REASON,
    order: Annotated[
        str | None, typer.Option(metavar="ORDER_ID", help="Those of one order.")
    ] = None,
    queue: Annotated[
        str | None, typer.Option(help="Those of one queue, by its id in the template.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All open dead letters.")] = False,
    up_to: Annotated[
        int | None, typer.Option(metavar="ID", help="Only those up to this id, as a dry run had.")
    ] = None,
    most: Annotated[
        int, typer.Option(min=1, max=MAX_LETTERS, help="Only so many: the oldest.")
    ] = MAX_LETTERS,
    pace: Annotated[
        float | None,
        typer.Option(help="Dead letters a second, up to 1,000. Default: as fast as the engine is."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; recorded. A discard needs it.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the effect, and do nothing.")
    ] = False,
    wait: Wait = PATIENCE,
    no_wait: NoWait = False,
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Redrive or discard many dead letters as one job.

    The job handles the dead letters that are selected now, the oldest first, and is recorded once.
    A redrive goes back to the place where it failed; a discard can be undone as a whole for 14
    days. A killed process handles none twice. Without a server on the directory, the command
    processes the due work there while it waits.
    """
    from infra.cli.letter_selection import Selection, preview, select
    from infra.cli.local_dead_letters import LocalDeadLetters

    where = _machine(stack, data)
    if action is Action.DISCARD and not dry_run:
        words_of("--reason", reason)
    wanted = Selection(ids or [], group, by.value, order, queue, everything, up_to, most)
    place = LocalDeadLetters(where)
    selected = select(place, wanted)
    if dry_run:
        finish(preview(place, action.value, selected, pace), as_json=as_json)
        return
    if selected.more:
        console.print(f"the oldest {len(selected.ids):,}; {selected.more:,} newer ones stay open")
    request: dict[str, Any] = {
        "action": action.value,
        "ids": list(selected.ids),
        "label": selected.label,
        "reason": reason.strip(),
    }
    if pace is not None:
        request["rate"] = pace
    _begin(where, "StartLetterJob", request, 0.0 if no_wait else wait, as_json=as_json)


@app.command("list")
@expand_options
def list_jobs(*, stack: StackOptions, data: Data = DATA, as_json: Json = False) -> None:
    """List the jobs of the last 14 days, the newest first."""
    from infra.views.letter_jobs import job_list

    with closing(_machine(stack, data).reader()) as reader:
        jobs = job_list(reader, ALL)
    show_jobs(jobs)
    finish({"jobs": [job.to_json() for job in jobs]}, as_json=as_json)


@app.command("show")
@expand_options
def show(job: Job, *, stack: StackOptions, data: Data = DATA, as_json: Json = False) -> None:
    """Show the progress of a job, and the dead letters that it could not handle."""
    _show(_machine(stack, data), job, as_json=as_json)


@app.command("pause")
@expand_options
def pause(job: Job, *, stack: StackOptions, data: Data = DATA, as_json: Json = False) -> None:
    """Pause a running job; resume continues it."""
    _change(_machine(stack, data), "PauseLetterJob", job, as_json=as_json)


@app.command("resume")
@expand_options
def resume(job: Job, *, stack: StackOptions, data: Data = DATA, as_json: Json = False) -> None:
    """Continue a paused job."""
    _change(_machine(stack, data), "ResumeLetterJob", job, as_json=as_json)


@app.command("cancel")
@expand_options
def cancel(job: Job, *, stack: StackOptions, data: Data = DATA, as_json: Json = False) -> None:
    """End a job permanently; handled dead letters stay handled, and the others stay open."""
    _change(_machine(stack, data), "CancelLetterJob", job, as_json=as_json)


@app.command("undo")
@expand_options
def undo(
    job: Job,
    *,
    wait: Wait = PATIENCE,
    no_wait: NoWait = False,
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Put the dead letters of an ended discard back into their queues, as another job."""
    where = _machine(stack, data)
    _begin(where, "UndoLetterJob", {"id": job}, 0.0 if no_wait else wait, as_json=as_json)


def _machine(stack: StackOptions, data: Path) -> DataDirectory:
    """Return the data directory; a stack has no jobs."""
    if stack.given:
        raise CommandError(
            "--stack: a stack has no jobs, because an action on its dead letters is done at once;"
            " use `orders dead-letters redrive`, `discard` or `undo`"
        )
    return directory(data)


def _begin(
    where: DataDirectory, name: str, request: dict[str, Any], wait: float, *, as_json: bool
) -> None:
    """Start a job, wait for its end, and print it; raise `CommandError` if it refused some."""
    from infra.cli.local_letter_jobs import start as start_job

    started, is_done = start_job(where, name, request, wait)
    if started.ended_at is None:
        console.print(
            f"job {started.id} continues; `orders dead-letters jobs show {started.id}` shows its"
            " progress"
        )
    elif started.can_undo:
        console.print(f"`orders dead-letters jobs undo {started.id}` puts them back within 14 days")
    _hint(is_done=is_done)
    _show(where, started.id, as_json=as_json)
    if started.refused:
        raise CommandError(
            f"of {started.total:,} dead letters {started.refused:,} were refused; see each message"
        )


def _change(where: DataDirectory, name: str, number: int, *, as_json: bool) -> None:
    from infra.cli.local_letter_jobs import change

    changed, served = change(where, name, number)
    _hint(is_done=served or changed.state != "RUNNING")
    _show(where, number, as_json=as_json)


def _hint(*, is_done: bool) -> None:
    if not is_done:
        from infra.cli.commands.acting import NOT_SERVED

        console.print(NOT_SERVED)


def _show(where: DataDirectory, number: int, *, as_json: bool) -> None:
    from infra.cli.local_letter_jobs import read_job
    from infra.views.letter_jobs import members, refusals

    with closing(where.reader()) as reader:
        job = read_job(reader, number)
        refused, letters = refusals(reader, number, ALL), members(reader, number, ALL)
    show_job(job, refused)
    result = {
        **job.to_json(),
        "letters": letters,
        "refusals": [{"id": letter, "problem": problem} for letter, problem in refused],
    }
    finish(result, as_json=as_json)
