"""Queries of visitors, each in a process of its own, with limits of time, rows and number.

A page that is loaded again while its query runs finds the same process. A query ends at its limit
of time, at a cancel, or with the server, whose end its process sees.
"""

import io
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from infra.console.csv_file import safe_cell
from infra.errors import Refusal
from infra.queries.child import answering_in_process
from infra.queries.pack import QueryError
from infra.queries.row_formats import first_rows, write_csv, write_ndjson
from infra.queries.warehouse import Rows

MAX_SECONDS = 30.0
"""Seconds of one query; `orders query` has no limit."""

MAX_RUNNING = 2
"""Queries that run at once; each has up to 1 GB of memory."""

MAX_ROWS = 2_000
"""Rows of an answer on a page; a download has all."""

MAX_BYTES = 64 * 1024 * 1024
"""Bytes of a download, which is built in memory."""

KEPT = 10.0
"""Seconds for which an answer is kept for the page that waits for it."""

NICENESS = 10
"""Priority of a query's process: orders come first."""


class TooManyQueries(Refusal):
    """`MAX_RUNNING` queries are running."""


class _TooLarge(Exception):
    """A download is larger than `MAX_BYTES`."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A query: a name or SQL, the values of its parameters, its dialect, and its answer's form.

    ``form`` is ``page``, ``csv`` or ``ndjson``.
    """

    text: str
    values: tuple[tuple[str, str], ...] = ()
    dialect: str = "athena"
    form: str = "page"


@dataclass(slots=True)
class QueryJob:
    """One query, running or ended; ``problem`` is why it failed, with an ``excerpt`` of the SQL."""

    asked: Asked
    begun: float = field(default_factory=time.monotonic)
    at: float = field(default_factory=time.time)
    ended: float | None = None
    columns: list[str] = field(default_factory=list)
    rows: Rows = field(default_factory=list)
    more: bool = False
    body: bytes = b""
    problem: str = ""
    excerpt: str = ""
    _over: threading.Event = field(default_factory=threading.Event)
    _kill: Callable[[], None] = lambda: None
    _stopped: str = ""

    @property
    def seconds(self) -> float:
        """The time that the query has taken so far."""
        return (self.ended or time.monotonic()) - self.begun

    @property
    def is_running(self) -> bool:
        """Whether the query has not ended."""
        return not self._over.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end; return whether the query has ended."""
        return self._over.wait(seconds)

    def stop(self, why: str) -> None:
        """End the query's process."""
        if self.is_running and not self._stopped:
            self._stopped = why
            self._kill()

    def run(self, bucket: Path) -> None:
        """Run the query to its end."""
        timer = threading.Timer(MAX_SECONDS, self.stop, [_TOO_LONG])
        timer.daemon = True
        timer.start()
        try:
            self._answer(bucket)
        except QueryError as error:
            self.problem, self.excerpt = self._stopped or str(error), error.excerpt
        except _TooLarge:
            self.problem = (
                f"the answer is larger than {MAX_BYTES // 1024 // 1024} MiB;"
                " save it with: orders query … -o FILE.csv"
            )
        except Exception as error:  # noqa: BLE001 - the error boundary of a query
            self.problem = self._stopped or f"the query failed: {type(error).__name__}: {error}"
        finally:
            timer.cancel()
            self.ended = time.monotonic()
            self._over.set()

    def _answer(self, bucket: Path) -> None:
        asked = self.asked
        with answering_in_process(
            bucket,
            asked.text,
            dialect=asked.dialect,
            values=dict(asked.values),
            niceness=NICENESS,
            on_start=self._started,
        ) as (columns, batches):
            self.columns = columns
            if asked.form == "page":
                self.rows, self.more = first_rows(batches, MAX_ROWS)
                return
            to = _Bounded()
            if asked.form == "csv":
                safe = ([tuple(map(safe_cell, row)) for row in rows] for rows in batches)
                write_csv([safe_cell(name) for name in columns], safe, to)
            else:
                write_ndjson(columns, batches, to)
            self.body = to.getvalue().encode()

    def _started(self, kill: Callable[[], None]) -> None:
        self._kill = kill
        if self._stopped:
            kill()


_TOO_LONG = (
    f"the query was stopped after {MAX_SECONDS:g} seconds, so that it slows nothing down;"
    " narrow it, or run it with: orders query"
)
CANCELLED = "the query was cancelled"


class _Bounded(io.StringIO):
    """Text that is at most `MAX_BYTES` characters long."""

    def write(self, text: str, /) -> int:
        if self.tell() > MAX_BYTES:
            raise _TooLarge
        return super().write(text)


class QueryJobs:
    """The running queries of one server, and those that ended just now."""

    def __init__(self) -> None:
        self._jobs: dict[Asked, QueryJob] = {}
        self._lock = threading.Lock()

    def of(self, asked: Asked, bucket: Path) -> QueryJob:
        """Return the job of a query: the one that runs, or a new one.

        Raises
        ------
        TooManyQueries
            Others run already.
        """
        with self._lock:
            self._forget()
            job = self._jobs.get(asked)
            if job is not None:
                return job
            running = sum(each.is_running for each in self._jobs.values())
            if running >= MAX_RUNNING:
                raise TooManyQueries(
                    f"{running} queries are running, and one server runs {MAX_RUNNING} at once;"
                    " wait for one or cancel it"
                )
            job = self._jobs[asked] = QueryJob(asked)
        threading.Thread(target=job.run, args=[bucket], name="query", daemon=True).start()
        return job

    def running(self, asked: Asked) -> QueryJob | None:
        """Return the job of a query, if it runs."""
        with self._lock:
            job = self._jobs.get(asked)
        return job if job is not None and job.is_running else None

    def _forget(self) -> None:
        now = time.monotonic()
        for asked, job in list(self._jobs.items()):
            if job.ended is not None and now - job.ended > KEPT:
                del self._jobs[asked]
