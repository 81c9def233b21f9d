"""``make bench-imports``: the cost of each handler's import, compared with boto3 and pydantic.

It is the processor time above that of a bare interpreter, the median of several alternating runs. A
cold start takes hardly more, and other load on the machine does not affect it.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from infra.local.template.loader import Template

ROOT = Path(__file__).parents[2]
BAR, AIM = 1.15, 0.7
"""Limit as a share of the time of boto3 with a client and pydantic with a model."""

LIMITS: dict[str, tuple[float, str]] = {
    "infra.console.hosted.function": (1.5, "every page of the console; no order waits for it"),
}
"""Handlers with a limit of their own, each with the reason."""

LANGUAGES = {
    "interpreter of workflows": "import infra.asl",
    "evaluator of JSONata, in its own process on first use": (
        "from infra.asl.queries import worker; import jsonata.jsonata"
    ),
}
"""Parts of the runtime that no handler imports."""

PAIR = """
import boto3
from pydantic import BaseModel

class Model(BaseModel):
    name: str

boto3.client("dynamodb", region_name="us-east-1")
"""


def handlers() -> list[str]:
    """Return the module of each handler in the template."""
    template = Template(ROOT / "template.yaml", {"Console": "hosted"}, lambda *_: {})
    functions = template.of_type("AWS::Serverless::Function")
    return sorted(properties["Handler"].rpartition(".")[0] for _, properties in functions)


def main() -> int:
    """Measure and print; return 1 if a handler is above its limit."""
    parser = argparse.ArgumentParser(prog="make bench-imports", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    imports = {name: f"import {name}" for name in handlers()}
    programs = {"bare": "pass", "pair": PAIR} | LANGUAGES | imports
    taken: dict[str, list[float]] = {name: [] for name in programs}
    for number in range(rounds + 1):
        for name, program in programs.items():
            seconds = _processor_time(program)
            if number:  # the first run writes bytecode
                taken[name].append(seconds)
    bare = median(taken.pop("bare"))
    over = {name: median(times) - bare for name, times in taken.items()}
    pair = over.pop("pair")
    languages = {name: over.pop(name) for name in LANGUAGES}
    status = _report(over, pair, rounds)
    for name, seconds in languages.items():
        Console().print(f"{name}: {seconds * 1000:.0f} ms")
    return status


def _report(over: dict[str, float], pair: float, rounds: int) -> int:
    table = Table("handler", "ms", "x pair", "")
    late = []
    for name, seconds in sorted(over.items(), key=lambda item: -item[1]):
        ratio = seconds / pair
        limit, reason = LIMITS.get(name, (BAR, "bar"))
        if ratio > limit:
            late.append(name)
        verdict = "aim" if ratio <= AIM else "bar" if ratio <= BAR else reason
        verdict = "ABOVE" if ratio > limit else verdict
        table.add_row(name, f"{seconds * 1000:.0f}", f"{ratio:.2f}", verdict)
    console = Console()
    console.print(table)
    console.print(
        f"pair: boto3 with a client and pydantic with a model, {pair * 1000:.0f} ms;"
        f" bar {BAR} x, aim {AIM} x; medians of {rounds} runs"
    )
    return 1 if late else 0


def _processor_time(program: str) -> float:
    """Return the processor time of a program in a new interpreter, in seconds."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "services")}
    process = subprocess.Popen([sys.executable, "-c", program], env=environment, cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"this failed, so nothing was measured: {program}")
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
