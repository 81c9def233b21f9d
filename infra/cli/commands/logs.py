"""``orders logs``: the log of one order, with its timeline, or of the platform."""

import time
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated

import typer

from infra.cli.options import DATA, Data, Json, directory
from infra.terminal import json_document
from infra.terminal.output import console, finish
from infra.views.order_log import LEVELS, LogLine, OrderLog, wanted

PAUSE = 0.25
"""Seconds between two looks with ``--follow``."""

_HIDDEN = {"correlation_id", "request_id", "xray_trace_id", "exception", "stack_trace"}
_STYLES = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}


def logs(
    order_id: Annotated[
        str | None, typer.Argument(metavar="ORDER_ID", help="Without it, all lines.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Continue with new lines, until Ctrl-C.")
    ] = False,
    level: Annotated[
        str, typer.Option(metavar="LEVEL", help="The lowest level: DEBUG, INFO, WARN or ERROR.")
    ] = "DEBUG",
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=1, help="The newest lines to begin with.")
    ] = 1000,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Print the log, or that of one order: its log lines and its timeline, ordered by time.

    The setting LogLevel says which lines the functions write. With --follow and --json each line is
    one JSON document.
    """
    lowest = {"WARN": "WARNING"}.get(level.upper(), level.upper())
    if lowest not in LEVELS:
        raise typer.BadParameter(f"--level: {level!r} is none of DEBUG, INFO, WARN, ERROR")
    where = directory(data)
    where.require_database()
    log = OrderLog(where, wanted(where, order_id, lowest))
    try:
        first = log.read()[-lines:]
        if not follow:
            _print(first)
            if not first:
                console.print("no lines yet")
            finish({"lines": [asdict(line) for line in first]}, as_json=as_json)
            return
        with suppress(KeyboardInterrupt):
            while True:
                _follow(first, as_json=as_json)
                time.sleep(PAUSE)
                first = log.read()
    finally:
        log.close()


def _follow(lines: list[LogLine], *, as_json: bool) -> None:
    document = json_document.current() if as_json else None
    if document is None:
        _print(lines)
        return
    for line in lines:
        document.write_line(asdict(line))


def _print(lines: list[LogLine]) -> None:
    for line in lines:
        fields = {
            name: value
            for name, value in line.fields.items()
            if name not in _HIDDEN and value not in (None, "", [], {})
        }
        detail = ", ".join(f"{name} {value}" for name, value in fields.items())
        about = f"{line.order_id} " if line.order_id else ""
        text = f"{line.at} {line.level:<7} {line.source}: {about}{line.message}"
        console.print(f"{text} ({detail})" if detail else text, style=_STYLES.get(line.level, ""))
