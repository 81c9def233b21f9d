"""Start the exporter's process with the engine, and end it after the last commit."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from infra.local.directory.data_directory import DataDirectory
from infra.telemetry.checkpoint import FILE, prepare
from storage.sqlite.database import Database

PATIENCE = 60.0
"""Seconds that the last export may take; the checkpoint has what it leaves."""

Outcome = dict[str, Any]


@contextmanager
def exporting(
    where: DataDirectory, database: Database, now: float, url: str | None
) -> Iterator[Outcome]:
    """Export traces and metrics within a block; without a URL, do nothing.

    Yields
    ------
    dict
        Filled at the end of the block: ``spans``, ``points``, ``rejected``, ``complete`` and
        ``problem``.
    """
    outcome: Outcome = {}
    if url is None:
        yield outcome
        return
    prepare(where.root / FILE, database, where.sandbox, now)
    process = subprocess.Popen(  # noqa: S603 - this very Python, our own module
        [sys.executable, "-m", "infra.telemetry", str(where.root), url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield outcome
    finally:
        outcome |= _end(process)


def _end(process: "subprocess.Popen[bytes]") -> Outcome:
    """Return the outcome of an exporter after its last export."""
    try:
        output, _ = process.communicate(b"", timeout=PATIENCE)
        result: Outcome = json.loads(output.splitlines()[-1])
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return _failed(f"it took longer than {PATIENCE:.0f} s; the next run continues")
    except (IndexError, ValueError):
        return _failed(f"the exporter ended with status {process.returncode}")
    return result


def _failed(problem: str) -> Outcome:
    return {"spans": 0, "points": 0, "rejected": 0, "complete": False, "problem": problem}


def summary(outcome: Outcome, url: str) -> str:
    """Return one line about an export."""
    line = f"exported {outcome['spans']} spans and {outcome['points']} metric values to {url}"
    if outcome["rejected"]:
        line += f"; {outcome['rejected']} were rejected: {outcome['problem']}"
    if not outcome["complete"]:
        line += f"; the rest waits for the next --otlp: {outcome['problem']}"
    return line
