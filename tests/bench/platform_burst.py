"""The platform under a burst of generated orders: rate, rate of each tenth, memory."""

import json
import os
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from infra.cli.commands.run import Run
from infra.cli.generator import Generated, generate
from infra.local.directory.data_directory import DataDirectory
from infra.local.engine.clock import SkippingClock
from infra.local.platform import platform
from storage.sqlite.database import Database

TENTHS = 10


class Memory:
    """The peak memory of some processes together in MB: resident and proportional."""

    def __init__(self, pids: list[int]) -> None:
        self.pids = pids
        self.resident = self.proportional = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.25):
            sizes = [_sizes(pid) for pid in self.pids]
            self.resident = max(self.resident, sum(rss for rss, _ in sizes))
            self.proportional = max(self.proportional, sum(pss for _, pss in sizes))


def _sizes(pid: int) -> tuple[float, float]:
    """Return a process's resident and proportional size in MB."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0, 0.0
    kilobytes = {line.split(":")[0]: line.split()[1] for line in lines[1:]}
    return int(kilobytes["Rss"]) / 1024, int(kilobytes["Pss"]) / 1024


def burst(orders: int, seed: int, root: Path) -> dict[str, Any]:
    """Process a burst of generated orders on the platform; return the measurements."""
    where = DataDirectory(root)
    generated = generate(orders, seed)
    opened = time.perf_counter()
    with platform(where, clock=SkippingClock(), workers=2) as engine:
        started = time.perf_counter()
        with Memory([os.getpid(), *engine.invoker.processes()]) as memory:
            result = Run(engine, where).take(generated.lines(), generated.receipt)
        tenths = _tenths(engine.journal.database, _quick(generated))
    return {
        "orders": orders,
        "in_flight": result["in_flight"],
        "seconds": result["seconds"],
        "orders_per_second": round(result["totals"]["orders"] / result["seconds"], 1),
        "start_seconds": round(started - opened, 3),
        "resident_mb": round(memory.resident),
        "proportional_mb": round(memory.proportional),
        "tenths": tenths,
    }


def _quick(generated: Generated) -> set[str]:
    """Return the orders without a wait: the others end together at the end."""
    return {
        event["detail"]["order_id"]
        for kind, event in generated.events
        if kind in {"completed", "high value"}
    }


def _tenths(database: Database, orders: set[str]) -> list[float]:
    """Return the rate at which each tenth of these orders was completed."""
    rows = database.rows("select order_id, at from timeline where what = 'COMPLETED' order by at")
    times = [row["at"] for row in rows if row["order_id"] in orders]
    size = len(times) // TENTHS
    edges = [times[number * size] for number in range(TENTHS)] + [times[-1]]
    return [round(size / max(1e-9, after - before), 1) for before, after in pairwise(edges)]


def main() -> None:
    """Print the measurements of a burst as one JSON object."""
    with TemporaryDirectory() as folder:
        result = burst(int(sys.argv[1]), 1, Path(folder))
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
