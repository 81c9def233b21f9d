"""``make bench-commands``: the commands that an operator waits for, on a large directory.

Orders are processed in a sandbox. Then each command runs `ROUNDS` times, each time in a new
process, and ``/metrics`` is read from a server. The median is compared with the budget; "cpu" is
the process's own work, which other processes do not disturb.
"""

import argparse
import http.client
import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from tests.fakes.serving import COMMAND, Served, answer

ROOT = Path(__file__).parents[2]
ROUNDS = 7
COMMAND_IN = 300.0
"""Maximum milliseconds of a command, from its start to its end."""

LETTERS_IN = 500.0
"""The same for ``dead-letters list``, which loads the template for the names of its queues."""

METRICS_IN = 20.0
"""Maximum milliseconds of ``/metrics``."""

FAILS = 2
"""The exit code from which a command has failed: ``status`` exits with 1 if it found a need."""


class Figures(NamedTuple):
    """The times of one command or request, in milliseconds; ``cpu`` of a request is not known."""

    what: str
    wall: float
    cpu: float | None
    slowest: float
    budget: float

    @property
    def is_late(self) -> bool:
        """Whether the median exceeds the budget."""
        return self.wall > self.budget


def of_command(data: Path, *arguments: str, budget: float = COMMAND_IN) -> Figures:
    """Return the times of a command in new processes."""
    command = [str(COMMAND), *arguments, "--data", str(data)]
    taken, worked = [], []
    for _ in range(ROUNDS + 1):
        before, begun = os.times(), time.perf_counter()
        done = subprocess.run(command, capture_output=True, check=False)
        taken.append((time.perf_counter() - begun) * 1000)
        after = os.times()
        user = after.children_user - before.children_user
        worked.append((user + after.children_system - before.children_system) * 1000)
        assert done.returncode < FAILS, done.stderr.decode()
    what = " ".join(("orders", *arguments))
    return _figures(what, taken[1:], median(worked[1:]), budget)


def of_metrics(served: Served) -> Figures:
    """Return the times of ``/metrics``."""
    taken = []
    for _ in range(ROUNDS + 1):
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        begun = time.perf_counter()
        connection.request("GET", "/metrics")
        reply = connection.getresponse()
        assert reply.read()
        assert reply.status == http.HTTPStatus.OK
        taken.append((time.perf_counter() - begun) * 1000)
        connection.close()
    return _figures("GET /metrics", taken[1:], None, METRICS_IN)


def _figures(what: str, taken: list[float], cpu: float | None, budget: float) -> Figures:
    worked = None if cpu is None else round(cpu, 1)
    return Figures(what, round(median(taken), 1), worked, round(max(taken), 1), budget)


def measure(data: Path) -> list[Figures]:
    """Return the figures of each command, and of ``/metrics``."""
    order = "G1-000001"
    commands: tuple[tuple[str, ...], ...] = (
        ("status",),
        ("list",),
        ("list", "--status", "FAILED"),
        ("list", "--customer", "C-042"),
        ("show", order),
        ("show", order, "--json"),
    )
    found = [of_command(data, *arguments) for arguments in commands]
    found.append(of_command(data, "dead-letters", "list", budget=LETTERS_IN))
    with Served(data) as served:
        found.append(of_metrics(served))
        found.append(of_command(data, "status")._replace(what="orders status, while serving"))
    return found


def show(console: Console, found: Sequence[Figures]) -> None:
    """Print the figures as a table; a late one is red."""
    table = Table("command", "median ms", "cpu ms", "slowest ms", "budget ms")
    for each in found:
        cells = ["" if value is None else f"{value:g}" for value in each[1:]]
        table.add_row(each.what, *cells, style="red" if each.is_late else "")
    console.print(table)


def prepared(orders: int, folder: str, console: Console) -> Path:
    """Process generated orders in a new directory; return it."""
    console.print(f"processing {orders:,} orders")
    data = Path(folder) / "data"
    answer("run", "--count", orders, "--seed", 1, "--data", data, timeout=3_600)
    return data


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, save the figures; return 1 if a budget is exceeded."""
    parser = argparse.ArgumentParser(prog="make bench-commands", description=__doc__)
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--data", type=Path, help="a directory with generated orders of seed 1")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "commands.json")
    chosen = parser.parse_args(arguments)
    console = Console()
    with TemporaryDirectory() as folder:
        found = measure(chosen.data or prepared(chosen.orders, folder, console))
    show(console, found)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    document = [each._asdict() for each in found]
    chosen.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    console.print(f"figures: {chosen.out}", markup=False)
    return int(any(each.is_late for each in found))


if __name__ == "__main__":
    raise SystemExit(main())
