"""``make bench-growth``: whether many existing orders slow down new ones.

The orders are processed in tenths. After each tenth the duration of the command ``orders show`` and
the sizes are measured; at the end, the duration of a new start.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from infra.cli.commands.run import Run
from infra.cli.generator import generate
from infra.local.directory.data_directory import DataDirectory
from infra.local.engine.engine import Engine
from infra.local.platform import platform
from infra.views.local_story import read_story
from tests.bench.platform_burst import TENTHS, Memory
from tests.fakes.serving import COMMAND

ROOT = Path(__file__).parents[2]
ROUNDS = 5
SHOWN_IN = 0.5
"""Maximum seconds for ``orders show``."""


def grow(orders: int, root: Path) -> dict[str, Any]:
    """Process orders in tenths; return the measurements."""
    where = DataDirectory(root)
    with platform(where, workers=2) as engine:
        tenths = [_tenth(engine, where, number, orders) for number in range(1, TENTHS + 1)]
    _command("run", "--count", "0", root)  # rebases the skipped time, once
    return {
        "orders": orders,
        "tenths": tenths,
        "last_to_second": round(tenths[-1]["per_second"] / tenths[1]["per_second"], 3),
        "start_seconds": _seconds(lambda: _command("run", "--count", "0", root), 1),
    }


def _tenth(engine: Engine, where: DataDirectory, number: int, orders: int) -> dict[str, Any]:
    """Process a tenth of the orders, and measure durations and sizes."""
    generated = generate(orders // TENTHS, number)
    lines = (line for line in generated.lines() if line.envelope)
    with Memory([os.getpid(), *engine.invoker.processes()]) as memory:
        ran = Run(engine, where).take(lines, generated.receipt)
    sought = f"G{(number + 1) // 2}-000001"
    database = where.database
    return {
        "orders": ran["totals"]["orders"],
        "in_flight": ran["in_flight"],
        "per_second": ran["orders_per_second"],
        "show_seconds": _seconds(lambda: _command("show", sought, where.root), ROUNDS),
        "look_up_seconds": _seconds(lambda: read_story(where, sought).to_json(), ROUNDS),
        "database_mb": round(database.stat().st_size / 1e6, 1),
        "wal_mb": round(Path(f"{database}-wal").stat().st_size / 1e6, 1),
        "resident_mb": round(memory.resident),
    }


def _command(name: str, *arguments: object) -> None:
    *options, data = map(str, arguments)
    command = [str(COMMAND), name, *options, "--data", data, "--json"]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def _seconds(action: Callable[[], object], rounds: int) -> float:
    """Return the median duration of an action over some rounds."""
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        action()
        taken.append(time.perf_counter() - started)
    return round(median(taken), 4)


def main() -> int:
    """Measure, print the table, save the figures; return 1 if ``orders show`` is too slow."""
    parser = argparse.ArgumentParser(prog="make bench-growth", description=__doc__)
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "growth.json")
    chosen = parser.parse_args()
    with TemporaryDirectory() as folder:
        figures = grow(chosen.orders, Path(folder))
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    table = Table(*(name.replace("_", " ") for name in figures["tenths"][0]))
    for tenth in figures["tenths"]:
        table.add_row(*map(str, tenth.values()))
    console = Console()
    console.print(table)
    console.print(f"last tenth to second tenth: {figures['last_to_second']}")
    console.print(f"new start: {figures['start_seconds']} s")
    console.print(f"figures: {chosen.out}", markup=False)
    return int(max(tenth["show_seconds"] for tenth in figures["tenths"]) > SHOWN_IN)


if __name__ == "__main__":
    sys.exit(main())
