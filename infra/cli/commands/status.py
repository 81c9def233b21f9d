"""``orders status``: the needs and the figures of the platform, on one screen."""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from infra.cli.health_output import show_health
from infra.cli.options import DATA, Data, Json, StackOptions, directory, expand_options
from infra.cli.server_state import ask_server
from infra.terminal import json_document
from infra.terminal.output import console, finish
from infra.views.health import Health
from infra.views.local_health import read_health, time_of


@expand_options
def status(
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it again and again, until Ctrl-C.")
    ] = False,
    every: Annotated[
        float, typer.Option(min=0.2, max=3600, help="Seconds between two readings, with --watch.")
    ] = 2.0,
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Show the items that need an operator, throughput, backlog, latency and failures.

    It exits with 1 if an item needs an operator. With --watch and --json, each reading is one line.
    """
    read = _reader(stack, data)
    if watch:
        with suppress(KeyboardInterrupt):
            _watch(read, every, as_json=as_json)
        return
    health = read()
    show_health(health)
    finish(health.to_json(), as_json=as_json)
    if not health.ok:
        raise typer.Exit(1)


def _reader(stack: StackOptions, data: Path) -> Callable[[], Health]:
    """Return the function that reads the health of a stack or of a data directory."""
    deployed = stack.deployed_stack()
    if deployed is not None:
        from infra.deployed.health import read_health as read_deployed

        return partial(read_deployed, deployed, stack.stack or "orderflow")
    where = directory(data)
    database = where.reader()

    def read() -> Health:
        present = time_of(database, time.time())
        return read_health(where, database, present, ask_server(where))

    return read


def _watch(read: Callable[[], Health], every: float, *, as_json: bool) -> None:
    while True:
        health = read()
        document = json_document.current()
        if as_json and document is not None:
            document.write_line(health.to_json())
        else:
            if console.is_terminal:
                console.clear()
            show_health(health)
        time.sleep(every)
