"""``orders invoke``: run one handler with an event, and print its answer, log and duration."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from infra.cli.errors import CommandError
from infra.cli.event_input import json_from_file
from infra.cli.options import DATA, Data, Json, directory
from infra.local.directory.sandbox import clock_for
from infra.local.orderflow import create_tables
from infra.local.platform import stack_of
from infra.local.template.stack import outlines
from infra.local.workers.execution_environment import ExecutionEnvironment
from infra.terminal.output import Styled, console, finish
from kernel import json_text


def invoke(
    function: Annotated[str, typer.Argument(help="The function's name, or its logical id.")],
    event: Annotated[Path, typer.Option("--event", metavar="FILE", help="The event; - is stdin.")],
    data: Data = DATA,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Use a new, empty data directory, and delete it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run one function in this process, as Lambda would: a breakpoint in its handler works.

    It writes to the data directory as in an execution. It exits with 1 if the function fails.
    """
    body = json_from_file("--event", event)
    if not fresh:
        _invoke(function, body, data, as_json=as_json)
        return
    with TemporaryDirectory(prefix="orders-") as folder:
        _invoke(function, body, Path(folder) / "data", as_json=as_json)


def _invoke(function: str, body: object, data: Path, *, as_json: bool) -> None:
    where = directory(data)
    if not where.database.exists():
        with where.writer() as database:
            clock_for(database)
            create_tables(database)
    stack = stack_of(where)
    try:
        name = stack.name_of("functions", function)
    except KeyError:
        names = ", ".join(sorted(stack.functions))
        raise CommandError(f"there is no function {function}; these are: {names}") from None
    with TemporaryDirectory(prefix="orders-") as folder:
        log = Path(folder) / "log"
        environment = ExecutionEnvironment(outlines(stack.functions), log)
        started = time.perf_counter()
        answer, error, metrics = environment.invoke(name, json_text.write(body), 0.0)
        seconds = time.perf_counter() - started
        environment.close()
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    value = json_text.parse(error or answer)
    for line in lines:
        console.print(line, style="dim")
    console.print(Styled("error" if error else "answer", "red" if error else "green"))
    console.print_json(value)
    console.print(f"{name} took {seconds * 1000:.0f} ms, its import included")
    finish(
        {
            "function": name,
            "answer": None if error else value,
            "failure": value if error else None,
            "seconds": round(seconds, 4),
            "log": lines,
            "metrics": [json_text.parse(line) for line in metrics],
        },
        as_json=as_json,
    )
    if error:
        raise CommandError(f"{name} failed: {value.get('errorType')}: {value.get('errorMessage')}")
