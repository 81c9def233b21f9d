"""A platform whose process ends in the middle of one kind of item; run as a process of its own.

``python -m tests.fakes.poisoned_process FOLDER PLACE`` opens the shipped platform in a folder, puts
a poisoned and two plain orders on an empty bus, and works until nothing is due. It prints a message
for each quarantined item, as JSON.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from infra.local.clock import SkippingClock
from infra.local.directory.data_directory import DataDirectory
from infra.local.engine import executions, streams
from infra.local.engine.integrations import SendMessage
from infra.local.engine.targets import QueueTarget
from infra.local.platform import platform
from infra.local.settle import settle
from tests.host import Host, order

PLACES = ("target", "integration", "codec", "handler", "processor", "parquet")
STATUS = 9


def _ending(owner: Any, name: str) -> None:
    """Let a function end the process if its arguments contain the poison."""
    shipped = getattr(owner, name)

    def call(*arguments: Any, **named: Any) -> Any:
        if "POISON" in repr(arguments):
            os._exit(STATUS)
        return shipped(*arguments, **named)

    setattr(owner, name, call)


def _poison(place: str, folder: Path) -> None:
    if place == "target":
        _ending(QueueTarget, "deliver")
    elif place == "integration":
        _ending(SendMessage, "call")
    elif place == "codec":
        _ending(executions, "packed")
    elif place == "handler":
        import high_value.usecases

        _ending(high_value.usecases, "flag")
    elif place == "processor":
        import analytics.usecases

        _ending(analytics.usecases, "flatten")
    else:
        _ending(streams, "write_parquet")
        apart = folder / "python"  # replaces the process that tests rows
        apart.write_text(f"#!/bin/sh\n! grep -q POISON || exit {STATUS}\n")
        apart.chmod(0o755)
        sys.executable = str(apart)


def main() -> None:
    """Work in the folder until nothing is due, or until the poison ends this process."""
    folder, place = Path(sys.argv[1]), sys.argv[2]
    _poison(place, folder)
    directory = DataDirectory(folder / "data")
    with platform(directory, clock=SkippingClock(), workers=0) as engine:
        Host(engine, directory).receive(TEA=1_000)
        if engine.journal.database.row("select 1 from events") is None:
            bodies = [order(name, total=1_250, items=ITEMS) for name in ("POISON-1", "T-1", "T-2")]
            entries = [
                {
                    "EventBusName": engine.stack.bus,
                    "Source": body["source"],
                    "DetailType": body["detail-type"],
                    "Detail": json.dumps(body["detail"]),
                }
                for body in bodies
            ]
            engine.call(lambda now: engine.bus.put(entries, now))
        settle(engine)
        sys.stdout.write(json.dumps(engine.quarantined) + "\n")


ITEMS = [{"sku": "TEA", "quantity": 100, "unit_price": 12.5}]

if __name__ == "__main__":
    main()
