"""``make rehearse``: deploy to MiniStack, send it and one machine the same input, compare."""

import argparse
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.cli.generator import Generated, generate
from infra.local.workers.account import LimitsError, parse_limits
from infra.terminal.output import Table, Terminal, console, errors
from tests.e2e.scenarios import SITUATIONS, needs_approvals
from tests.rehearsal import comparison, hosted_console, one_machine, small_account
from tests.rehearsal.comparison import Difference, Row
from tests.rehearsal.deployed_host import DeployedHost, Stack
from tests.rehearsal.deployment import Deployment, deploy
from tests.rehearsal.feed import in_portions
from tests.rehearsal.ministack import MiniStack, RehearsalError, ministack
from tests.rehearsal.outcome import Outcome
from tests.rehearsal.template import ALTERED, reason

SEED = 7

ACT_DURING_WAIT = ("out of stock, then received", "cancelled while it waits")
"""Situations with an action while an order waits: their waits must take some time."""

WAIT_SCALE = 0.05
"""Scale of waits in these situations: 15 s instead of 300, in which a slow emulator acts too."""

LOG = Path("build/ministack.log")

Cases = dict[str, tuple[Outcome, Outcome]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Rehearse; return 0 if all differences are known."""
    options = _options(arguments)
    # exit on SIGTERM as on any error, so that started processes are stopped
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        rows = _rows(console, options)
    except (RehearsalError, LimitsError) as error:
        errors.print(f"rehearsal: {error}", style="red")
        return 1
    return _print_result(console, rows)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.rehearsal", description=__doc__)
    parser.add_argument(
        "--orders", type=int,
        help=f"generated orders (default: 50; with --lambda-faults {small_account.ORDERS})",
    )  # fmt: skip
    parser.add_argument(
        "--lambda-faults", metavar="LIMITS",
        help="send orders that can complete to a small Lambda account instead: new-account, or"
        " concurrency=10,timeouts=0.05,cold=6",
    )  # fmt: skip
    parser.add_argument(
        "--only", action="append", choices=SITUATIONS, metavar="SITUATION",
        help="a situation of workflows/README.md; several may be given (default: all)",
    )  # fmt: skip
    return parser.parse_args(arguments)


def _rows(console: Terminal, options: argparse.Namespace) -> list[Row]:
    """Return the compared facts of the chosen rehearsal."""
    if not options.lambda_faults:
        return _rehearse(console, options.only or list(SITUATIONS), options.orders or 50)
    if options.only:
        raise RehearsalError("--only and --lambda-faults exclude each other; leave one of them out")
    limits = parse_limits(options.lambda_faults)
    with ministack(limits) as stack, _kept_log(stack):
        return small_account.rehearse(
            console, stack, limits, options.orders or small_account.ORDERS
        )


@contextmanager
def _kept_log(stack: MiniStack) -> Iterator[None]:
    """Copy MiniStack's log to `LOG` at the end of the block."""
    try:
        yield
    finally:
        LOG.parent.mkdir(exist_ok=True)
        shutil.copyfile(stack.log, LOG)


def _rehearse(console: Terminal, situations: Sequence[str], count: int) -> list[Row]:
    started = time.monotonic()
    orders = generate(count, SEED)
    here = {name: one_machine.situation(name) for name in situations}
    here_orders, here_stock = one_machine.generated(orders)
    console.print(f"one machine: {time.monotonic() - started:.0f} s")
    with ministack() as stack, _kept_log(stack):
        rows = _on_ministack(console, stack, here, orders, (here_orders, here_stock))
    console.print(f"all: {time.monotonic() - started:.0f} s; MiniStack's log is {LOG}")
    return rows


def _on_ministack(
    console: Terminal,
    stack: MiniStack,
    here: dict[str, Outcome],
    orders: Generated,
    here_generated: tuple[dict[str, Outcome], str],
) -> list[Row]:
    started = time.monotonic()
    deployment = deploy(stack)
    _print_deployment(console, deployment, time.monotonic() - started)
    shared = Stack(stack, deployment)
    began = time.monotonic()
    rows = hosted_console.rows(shared)
    console.print(f"MiniStack: {hosted_console.CASE}: {time.monotonic() - began:.1f} s")
    for number, (name, ours) in enumerate(here.items(), 1):
        began = time.monotonic()
        theirs = _situation(shared, name, f"S{number:02}")
        console.print(f"MiniStack: {name}: {time.monotonic() - began:.1f} s")
        rows += comparison.rows(name, ours, theirs)
    began = time.monotonic()
    side = DeployedHost(shared, "G")
    shared.approve(wanted=False)
    stack.configure(_SFN_WAIT_SCALE=0)
    side.receive(**orders.receipt.units)
    in_portions(side, orders)
    rows += comparison.rows_of_orders(_kinds(orders), here_generated[0], side.orders())
    rows.append(Row("generated: all", "", "stock", here_generated[1], side.stock()))
    console.print(
        f"MiniStack: {orders.count} generated orders: {time.monotonic() - began:.1f} s;"
        f" {stack.megabytes():.0f} MB in all its processes"
    )
    return rows


def _situation(shared: Stack, name: str, suffix: str) -> Outcome:
    side = DeployedHost(shared, suffix)
    shared.ministack.configure(_SFN_WAIT_SCALE=WAIT_SCALE if name in ACT_DURING_WAIT else 0)
    shared.approve(wanted=needs_approvals(name))
    side.receive(TEA=1000, VASE=0)
    act: Any = SITUATIONS[name]  # its parameter is a `Host`; a `DeployedHost` has the same methods
    act(side)
    return side.outcome()


def _kinds(orders: Generated) -> dict[str, str]:
    kinds: dict[str, str] = {}
    for kind, event in orders.events:
        kinds.setdefault(event["detail"]["order_id"], kind)
    return kinds


def _print_deployment(console: Terminal, deployment: Deployment, seconds: float) -> None:
    console.print(f"MiniStack: {len(deployment.names)} resources deployed in {seconds:.1f} s")
    for name, kind in deployment.removed.items():
        console.print(f"  removed: {name} ({kind}): {reason(kind)}")
    for name, how in ALTERED.items():
        console.print(f"  altered: {name}: {how}")


def _print_result(console: Terminal, rows: list[Row]) -> int:
    differences = comparison.known()
    table = Table("case", "field", "one machine", "MiniStack", "")
    for row in rows:
        if not row.subject or row.differs:
            case = f"{row.case} {row.subject}".strip()
            table.add_row(case, row.field, row.here, row.there, _mark(row, differences))
    console.print(table)
    console.print(_counted(rows))
    for why in dict.fromkeys(comparison.reason(row, differences) for row in rows if row.differs):
        if why:
            console.print(f"known: {why}")
    unexplained = [r for r in rows if r.differs and not comparison.reason(r, differences)]
    for row in unexplained:
        console.print(f"UNKNOWN: {row.case} {row.subject}: {row.field}", style="red")
    differing = sum(row.differs for row in rows)
    console.print(
        f"{len(rows)} facts compared: {len(rows) - differing} the same, "
        f"{differing - len(unexplained)} known differences, {len(unexplained)} unknown"
    )
    return 1 if unexplained else 0


def _mark(row: Row, differences: list[Difference]) -> str:
    if not row.differs:
        return "="
    return "known" if comparison.reason(row, differences) else "DIFFERS"


def _counted(rows: list[Row]) -> Table:
    """Return the outcomes of the generated orders, counted by kind."""
    table = Table("generated orders", "field", "one machine", "MiniStack")
    for field in ("status", "charges"):
        kinds = dict.fromkeys(r.case for r in rows if r.subject)
        for kind in kinds:
            matching = [r for r in rows if r.subject and r.case == kind and r.field == field]
            ours = Counter(r.here.partition(" ")[0] for r in matching)
            theirs = Counter(r.there.partition(" ")[0] for r in matching)
            table.add_row(kind.removeprefix("generated: "), field, _text(ours), _text(theirs))
    return table


def _text(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))


if __name__ == "__main__":
    sys.exit(main())
