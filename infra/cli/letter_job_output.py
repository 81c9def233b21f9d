"""Output of ``orders dead-letters jobs``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from infra.cli.dead_letter_output import to_seconds
from infra.terminal.output import Table, console
from kernel.clock import timestamp

if TYPE_CHECKING:
    from infra.views.letter_jobs import LetterJob

SHOWN = 50
"""Jobs, and refused dead letters, of a table; ``--json`` has all."""


def show_jobs(jobs: "Sequence[LetterJob]") -> None:
    """Print the jobs, the newest first."""
    if not jobs:
        console.print("no job on dead letters in the last 14 days")
        return
    table = Table(
        *("job", "action", "state", "handled", "refused", "started (UTC)", "by", "dead letters"),
        right=("job", "handled", "refused"),
    )
    for job in jobs[:SHOWN]:
        handled = f"{job.handled:,} of {job.total:,}"
        started = to_seconds(timestamp(job.started_at))
        table.add_row(
            *(job.id, job.action, job.state, handled, job.refused, started, job.who, job.label)
        )
    console.print(table)
    if len(jobs) > SHOWN:
        console.print(f"the newest {SHOWN} of {len(jobs)}; --json has all")


def show_job(job: "LetterJob", refused: Sequence[tuple[int, str]]) -> None:
    """Print a job, and its refused dead letters with the reasons."""
    table = Table()
    left = job.seconds_left()
    facts = {
        "job": job.id,
        "action": job.action,
        "state": job.state,
        "dead letters": job.label,
        "handled": f"{job.handled:,} of {job.total:,}",
        "refused": f"{job.refused:,}" if job.refused else None,
        "pace": f"{job.rate:g} a second" if job.rate else "as fast as the engine is",
        "reason": job.reason or None,
        "started (UTC)": f"{to_seconds(timestamp(job.started_at))} by {job.who}",
        "ended (UTC)": None if job.ended_at is None else to_seconds(timestamp(job.ended_at)),
        "left": None if left is None else f"about {left:,.0f} s",
        "undoes": job.undoes,
        "undone by": job.undone_by,
    }
    for name, value in facts.items():
        if value is not None:
            table.add_row(name, value)
    console.print(table)
    if refused:
        table = Table("dead letter", "refused because", right=("dead letter",))
        for letter, problem in refused[:SHOWN]:
            table.add_row(letter, problem)
        console.print(table)
    if len(refused) > SHOWN:
        console.print(f"the first {SHOWN} of {len(refused):,} refused; --json has all")
