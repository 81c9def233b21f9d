"""The command line that repeats an operator's action."""

from collections.abc import Mapping
from shlex import quote
from typing import Any

from infra.views.letter_jobs import find_job, members
from storage.sqlite.database import Database

SHOWN = 20
"""Dead letters that a command line names; the page of a job has all."""

_FORMS = {
    "cancel": "orders cancel {subject} --reason {reason}",
    "retry": "orders retry {subject}{why}",
    "redrive execution": "orders workflow redrive {subject}{why}",
    "approve": "orders approve {subject}{why}",
    "reject": "orders reject {subject} --reason {reason}",
    "resend": "orders replay FILE --filter detail.order_id={subject}",
    "note": "orders note {subject} {reason}",
    "close review": "orders reviews close {subject} --reason {reason}",
    "adjust": "orders stock adjust {subject} {change} --reason {reason}",
    "receive": "orders stock receive FILE",
    "REDRIVEN": "orders dead-letters redrive {subject}",
    "DISCARDED": "orders dead-letters discard {subject} --reason {reason}",
    "RESTORED": "orders dead-letters undo {subject}",
    "EDITED": "orders dead-letters edit {subject}",
}


def command_of(
    action: str, subject: str, reason: str, before: Any = None, after: Any = None
) -> str:
    """Return the command line of an action, or empty text; one in capitals has ids as subject."""
    form = _FORMS.get(action, "")
    return form.format(
        subject=subject if action.isupper() else quote(subject),
        reason=quote(reason),
        why=f" --reason {quote(reason)}" if reason else "",
        change=_change(before, after),
    )


def _change(before: Any, after: Any) -> str:
    """Return the corrected units, with their sign."""
    counts = [
        each.get("on_hand") if isinstance(each, Mapping) else None for each in (before, after)
    ]
    was, becomes = counts
    return f"{becomes - was:+d}" if isinstance(was, int) and isinstance(becomes, int) else "CHANGE"


def command_of_job(database: Database, number: int) -> str:
    """Return the command line that started a job on dead letters; empty text for a deleted one."""
    job = find_job(database, number)
    if job is None:
        return ""
    if job.undoes is not None:
        return f"orders dead-letters jobs undo {job.undoes}"
    ids = members(database, number, SHOWN + 1)
    words = ["orders dead-letters jobs start", job.action, *map(str, ids[:SHOWN])]
    words += ["…"] * (len(ids) > SHOWN)
    words += [f"--pace {job.rate:g}"] if job.rate else []
    words += [f"--reason {quote(job.reason)}"] if job.reason else []
    return " ".join(words)
