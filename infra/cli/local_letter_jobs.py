"""Operations on a data directory's jobs on dead letters: by its server or, without one, here."""

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from infra.cli.local_operations import POLL, ask, opened, operate_by, operate_in, process
from infra.cli.operator import operator
from infra.errors import NotFound
from infra.local.directory.data_directory import DataDirectory
from infra.local.engine.letter_jobs import REDRIVE
from infra.local.settle import HORIZON
from infra.server.letter_jobs_api import letter_job_operations
from infra.views.letter_jobs import LetterJob, find_job
from storage.sqlite.database import Database

if TYPE_CHECKING:
    from infra.local.engine.engine import Engine


def start(
    where: DataDirectory, name: str, request: dict[str, Any], wait: float
) -> tuple[LetterJob, bool]:
    """Start a job, and wait so many seconds for its end.

    ``name`` is ``StartLetterJob`` or ``UndoLetterJob``. Without a server on the directory, this
    process handles the job and the due work there while it waits. Return the job, and whether no
    other process is needed to continue.

    Raises
    ------
    CommandError
        The operation is refused, or the server does not answer.
    """
    request = {**request, "who": operator()}
    address = where.served_at()
    if address is None:
        return _start_here(where, name, request, wait)
    number = ask(where, address, name, request)["job"]
    end = time.monotonic() + wait
    with closing(where.reader()) as reader:
        job = read_job(reader, number)
        while job.ended_at is None and time.monotonic() < end:
            time.sleep(POLL)
            job = read_job(reader, number)
    return job, True


def _start_here(
    where: DataDirectory, name: str, request: dict[str, Any], wait: float
) -> tuple[LetterJob, bool]:
    with opened(where, wait) as engine:
        number = operate_in(engine, letter_job_operations(engine), name, request)["job"]
        process(engine, lambda: _has_work(engine, number), wait)
        return read_job(engine.journal.database, number), not _has_work(engine, number)


def _has_work(engine: "Engine", number: int) -> bool:
    """Return whether the job has not ended, or redriven dead letters are processed soon."""
    job = read_job(engine.journal.database, number)
    if job.ended_at is None or not engine.idle:
        return True
    due = engine.next_due(schedules=False, sink=False) - engine.clock.now()
    return job.action == REDRIVE and due <= HORIZON


def change(where: DataDirectory, name: str, number: int) -> tuple[LetterJob, bool]:
    """Pause, resume or cancel a job; return it, and whether it is served.

    Raises
    ------
    CommandError
        The operation is refused, or the server does not answer.
    """
    _, served = operate_by(letter_job_operations, where, name, {"id": number})
    with closing(where.reader()) as reader:
        return read_job(reader, number), served


def read_job(reader: Database, number: int) -> LetterJob:
    """Return a job, or raise `NotFound`."""
    job = find_job(reader, number)
    if job is None:
        raise NotFound(
            f"there is no job {number} on dead letters; see `orders dead-letters jobs list`"
        )
    return job
