"""Jobs on groups of dead letters: start one from its preview, watch, pause, cancel or undo it."""

from collections.abc import Mapping
from typing import Any

from infra.console.pace import pace_of
from infra.console.page import BadFilter, Page, Redirect, View, Visit, link
from infra.console.pages.dead_letter import number_of, numbers_of
from infra.errors import InvalidRequest, NotFound
from infra.views.letter_groups import MAX_LETTERS
from infra.views.letter_jobs import SHOWN, find_job, job_list, members, refusals
from storage.sqlite.database import Database

MAX_PACE = 1_000
"""Maximum dead letters a second of a paced job."""

CHANGES: Mapping[str, tuple[str, str]] = {
    "pause": ("Orderflow.PauseLetterJob", "is paused"),
    "resume": ("Orderflow.ResumeLetterJob", "continues"),
    "cancel": ("Orderflow.CancelLetterJob", "is cancelled; handled dead letters stay handled"),
}
"""By verb: the operation, and its result in words."""


def listed(_: Visit, database: Database) -> View:
    """Show the jobs, the newest first."""
    return View("dead_letters/jobs.html", "Jobs on dead letters", {"jobs": job_list(database)})


def one(visit: Visit, database: Database) -> View:
    """Show the progress of a job, and the dead letters that were refused."""
    number = number_of(visit.path["id"])
    job = find_job(database, number)
    if job is None:
        raise NotFound(f"there is no job {number} on dead letters; see the list of jobs")
    names = {
        "job": job,
        "refused": refusals(database, number),
        "members": members(database, number),
        "shown": SHOWN,
    }
    return View("dead_letters/job.html", f"{job.action.capitalize()} of a group", names)


async def start(visit: Visit, form: Mapping[str, str]) -> Redirect:
    """Start a job on the dead letters that a preview has shown."""
    ids = numbers_of(form.get("ids", ""), MAX_LETTERS)
    if not ids:
        text = "Nothing was done: the preview named no dead letter."
        return Redirect(link("/dead-letters"), text, "bad")
    request: dict[str, Any] = {
        "action": form.get("action", ""),
        "ids": ids,
        "label": form.get("label", ""),
        "reason": form.get("reason", ""),
        "who": visit.visitor.name,
    }
    try:
        pace = pace_of(form.get("pace", ""), "dead letters", MAX_PACE)
    except ValueError as error:
        raise BadFilter(str(error)) from None
    if pace is not None:
        request["rate"] = pace
    try:
        answer = await visit.source.operate("Orderflow.StartLetterJob", request)
    except InvalidRequest as refusal:
        raise BadFilter(str(refusal)) from None
    return Redirect(link(f"/dead-letters/jobs/{answer['job']}"), "The job has started.")


async def change(visit: Visit, form: Mapping[str, str]) -> Redirect:  # noqa: ARG001 - of a page
    """Pause, continue, cancel or undo a job."""
    number, verb = number_of(visit.path["id"]), visit.path["verb"]
    request = {"id": number, "who": visit.visitor.name}
    here = link(f"/dead-letters/jobs/{number}")
    if verb not in CHANGES and verb != "undo":
        words = ", ".join((*CHANGES, "undo"))
        raise BadFilter(f"{verb[:40]!r} is no action on a job; choose {words}")
    try:
        if verb == "undo":
            answer = await visit.source.operate("Orderflow.UndoLetterJob", request)
            to = link(f"/dead-letters/jobs/{answer['job']}")
            return Redirect(to, "The dead letters of the discard are put back.")
        operation, result = CHANGES[verb]
        await visit.source.operate(operation, request)
    except InvalidRequest as refusal:
        return Redirect(here, f"Refused: {refusal}", "bad")
    return Redirect(here, f"The job {result}.")


PAGE = Page(
    name="letter_jobs",
    title="",
    gets={"/dead-letters/jobs": listed, "/dead-letters/jobs/{id}": one},
    posts={"/dead-letters/jobs": start, "/dead-letters/jobs/{id}/{verb}": change},
    within="dead_letters",
)
