"""``make bench``: compare the platform with a bare loop and DBOS, in one run on one machine.

The three alternate, so that other load affects them alike; the medians are compared.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
DBOS_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
TARGETS = {"rate": 300.0, "memory": 400.0, "last_tenth": 0.9, "bare": 0.5, "dbos": 10.0}


def main() -> None:
    """Measure, print the table, and save the figures."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--orders", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dbos-orders", type=int, default=200)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench.json")
    parser.add_argument("--plot", type=Path, help="draw the figures as a page")
    chosen = parser.parse_args()
    rounds = [_round(chosen) for _ in range(chosen.rounds)]
    figures = {"machine": _machine(), "rounds": rounds, **_summary(rounds)}
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    _show(figures, chosen.out)
    if chosen.plot:
        _plot(figures, chosen.plot)


def _round(chosen: argparse.Namespace) -> dict[str, Any]:
    return {
        "platform": _measure(sys.executable, "platform_burst.py", chosen.orders),
        "bare": _measure(sys.executable, "bare_loop.py", min(chosen.orders, 3_000)),
        "dbos": _measure(str(DBOS_PYTHON), "dbos_steps.py", chosen.dbos_orders),
    }


def _measure(python: str, script: str, orders: int) -> dict[str, Any]:
    """Run a measurement in a separate process; return its last line of output."""
    if not Path(python).exists():
        return {}
    command = [python, str(Path(__file__).with_name(script)), str(orders)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, stderr=subprocess.DEVNULL)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    rates = {
        name: median(round_[name]["orders"] / round_[name]["seconds"] for round_ in rounds)
        for name in ("platform", "bare", "dbos")
        if rounds[0][name]
    }
    bursts = [round_["platform"] for round_ in rounds]
    tenths = [median(values) for values in zip(*(burst["tenths"] for burst in bursts), strict=True)]
    return {
        "rates": {name: round(rate, 1) for name, rate in rates.items()},
        "to_bare": round(rates["platform"] / rates["bare"], 3),
        "to_dbos": round(rates["platform"] / rates["dbos"], 1) if "dbos" in rates else None,
        "resident_mb": max(burst["resident_mb"] for burst in bursts),
        "proportional_mb": max(burst["proportional_mb"] for burst in bursts),
        "start_seconds": median(burst["start_seconds"] for burst in bursts),
        "tenths": tenths,
        "last_to_second_tenth": round(tenths[-1] / tenths[1], 3),
    }


def _machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 1e9, 1),
    }


def _show(figures: dict[str, Any], out: Path) -> None:
    rates = figures["rates"]
    table = Table("figure", "value", "target", "", title="Medians of all rounds")
    last = figures["last_to_second_tenth"]
    rows = [
        ("platform, orders/s end to end", rates["platform"], TARGETS["rate"], True),
        ("bare loop, orders/s", rates["bare"], None, True),
        ("platform to bare loop", figures["to_bare"], TARGETS["bare"], True),
        ("DBOS with six empty steps, orders/s", rates.get("dbos"), None, True),
        ("platform to DBOS", figures["to_dbos"], TARGETS["dbos"], True),
        ("memory of all processes, resident, MB", figures["resident_mb"], TARGETS["memory"], False),
        ("memory of all processes, proportional, MB", figures["proportional_mb"], None, False),
        ("last tenth to second tenth", last, TARGETS["last_tenth"], True),
        ("start of the platform, s", figures["start_seconds"], None, False),
    ]
    for name, value, bar, more_is_better in rows:
        good = bar is None or value is None or (value >= bar) is more_is_better or value == bar
        sign = ">=" if more_is_better else "<="
        table.add_row(name, str(value), f"{sign} {bar}" if bar else "", "" if good else "below")
    console = Console()
    console.print(table)
    console.print(f"rate of each tenth of the orders without a wait: {figures['tenths']}")
    console.print(f"figures: {out}", markup=False)


def _plot(figures: dict[str, Any], path: Path) -> None:
    from infra.views.query_chart import render_chart

    rows = list(enumerate(figures["tenths"], 1))
    render_chart(["tenth of the burst", "orders per second"], rows, path, "Rate of each tenth")


if __name__ == "__main__":
    main()
