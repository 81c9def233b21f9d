"""Operations on a data directory's jobs on dead letters: by its server or, without one, here."""

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from infra.cli.local_operations import ask, operate_by, operate_in
from infra.cli.operator import operator
from infra.errors import NotFound
from infra.local.clock import Clock
from infra.local.directory.data_directory import DataDirectory
from infra.local.platform import platform
from infra.local.settle import HORIZON
from infra.views.letter_jobs import LetterJob, find_job
from storage.sqlite.database import Database

if TYPE_CHECKING:
    from infra.local.engine.engine import Engine

REDRIVE = "redrive"

POLL = 0.1
"""Seconds between two looks at a job."""

DRAIN = 10.0
"""Seconds that running functions get to end once the command has its answer."""

WORKERS = 2


def operations(engine: "Engine") -> Mapping[str, Callable[[Any], Any]]:
    """Return an engine's operations on jobs."""
    from infra.server.letter_jobs_api import letter_job_operations

    return letter_job_operations(engine)


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
    where.require_database()
    with platform(where, clock=Clock(), workers=WORKERS if wait else 0) as engine:
        engine.accept_only = not wait
        number = operate_in(engine, operations(engine), name, request)["job"]
        end = time.monotonic() + wait
        while time.monotonic() < end and _has_work(engine, number):
            engine.turn(POLL if engine.next_due(schedules=False) > engine.clock.now() else 0)
        engine.accept_only = True  # running functions may end; their calls are only journalled
        end = time.monotonic() + (DRAIN if wait else 0.0)
        while not engine.idle and time.monotonic() < end:
            engine.turn(POLL)
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
    _, served = operate_by(operations, where, name, {"id": number})
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
