"""A query in a process of its own, which ends with the command or at Ctrl-C.

``python -m infra.queries.child`` reads one request from its standard input: a line of JSON with
``bucket``, ``sql``, ``niceness``, and perhaps ``copy_to``, or ``dialect`` and ``values``: then it
makes the SQL for DuckDB itself. It writes pickles: the columns, batches of rows, then None; or a
`QueryError`. It ends when its standard input is closed. DuckDB does not stop at a signal while it
computes, so the process is killed.
"""

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.queries.pack import QueryError
from infra.queries.warehouse import Rows, answering, local_sql
from kernel import json_text


@contextmanager
def answering_in_process(
    bucket: Path,
    sql: str,
    *,
    copy_to: Path | None = None,
    dialect: str = "",
    values: Mapping[str, str] | None = None,
    niceness: int = 0,
    on_start: Callable[[Callable[[], None]], None] = lambda _kill: None,
) -> Iterator[tuple[list[str], Iterator[Rows]]]:
    """Run one SELECT of DuckDB in another process; see `infra.queries.warehouse.answering`.

    With a ``dialect``, ``sql`` is a query's name or its text in that dialect, and the process
    translates it with these ``values`` (`infra.queries.warehouse.local_sql`).

    ``on_start`` gets the function that ends the process, for another thread. A process with a
    ``niceness`` leaves the processor to others.

    Raises
    ------
    QueryError
        The query is invalid, failed, or its process ended.
    """
    request = {
        "bucket": str(bucket),
        "sql": sql,
        "copy_to": copy_to and str(copy_to),
        "dialect": dialect,
        "values": values or {},
        "niceness": niceness,
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "infra.queries.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    on_start(child.kill)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(json_text.write(request) + b"\n")
        child.stdin.flush()
        columns = _next(child.stdout)
        yield columns, iter(lambda: _next(child.stdout), None)
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()


def _next(source: Any) -> Any:
    try:
        value = pickle.load(source)  # noqa: S301 - our own process wrote it
    except EOFError:
        raise QueryError(
            "the query's process ended, perhaps for lack of memory; select fewer rows"
        ) from None
    if isinstance(value, tuple):
        message, excerpt = value
        raise QueryError(message, excerpt=excerpt)
    return value


def _answer(request: Any, to: Any) -> None:
    copy_to = request["copy_to"]
    os.nice(request["niceness"])
    try:
        sql = request["sql"]
        if request["dialect"]:
            sql = local_sql(sql, request["values"], request["dialect"])
        with answering(
            Path(request["bucket"]), sql, copy_to=Path(copy_to) if copy_to else None
        ) as (columns, batches):
            pickle.dump(columns, to)
            for batch in batches:
                pickle.dump(batch, to)
        pickle.dump(None, to)
    except QueryError as error:
        pickle.dump((str(error), error.excerpt), to)
    to.flush()


def _end_with_the_command() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    asked = json_text.read(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_command, daemon=True).start()
    try:
        _answer(asked, sys.stdout.buffer)  # noqa: TID251 - pickles for the command
    except BrokenPipeError:
        os._exit(1)
    os._exit(0)
