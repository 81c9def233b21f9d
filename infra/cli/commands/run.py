"""``orders run``: send events, and process them until nothing is due.

Waits are skipped in a sandbox (`infra.local.directory.sandbox`). Elsewhere a run works in real
time: it processes due work, and lists the remaining waits with their ends.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.cli.errors import CommandError
from infra.cli.event_destination import to_entry
from infra.cli.event_files import Line, read_events
from infra.cli.event_reader import print_skipped_files
from infra.cli.generator import Generated, generate, next_seed
from infra.cli.options import DATA, Data, Delivery, Json, Otlp, Workers, checked_otlp, directory
from infra.cli.progress import Progress
from infra.cli.receiving import receipt_of, receive
from infra.local.directory.data_directory import DataDirectory
from infra.local.engine.engine import Engine
from infra.local.platform import platform
from infra.local.settle import settle, work_off
from infra.local.workers.account import COUNTED, described, parse_limits
from infra.local.workers.limited import LimitedInvoker
from infra.settings.reading import read
from infra.telemetry.process import exporting
from infra.telemetry.process import summary as outcome_line
from infra.terminal.output import console, errors, finish
from infra.views import summary
from infra.views.unfinished import Waiting, overdue, waiting
from inventory.model import Receipt
from inventory.store import SQLiteInventory
from kernel.clock import timestamp
from lambda_support.batches import batches, entry_size

CHUNK = 100
"""Events that are put on the bus in one turn of the engine."""

SHOWN = 10
"""Rejected events that are printed one by one."""


def run(
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Events: JSON, one per line or not."),
    ] = None,
    stock: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Stock to receive first: sku,on_hand.")
    ] = None,
    delivery: Delivery = "",
    count: Annotated[
        int | None,
        typer.Option(min=0, help="Generated orders to send; 0 only processes due work."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of the generated orders; the default is the first unused one."),
    ] = None,
    otlp: Otlp = None,
    lambda_faults: Annotated[
        str,
        typer.Option(
            metavar="LIMITS",
            help="Call functions as in a small AWS account, in a sandbox:"
            " concurrency=10,timeouts=0.05,cold=6 or new-account.",
        ),
    ] = "",
    workers: Workers = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Process orders with the complete platform, on this machine.

    Waits are skipped as long as this command sent every order of the data directory. In any other
    directory the run works in real time: it ends once nothing is due soon, and lists the
    remaining waits.
    """
    limits = parse_limits(lambda_faults) if lambda_faults else None
    if source is not None and count is not None:
        raise typer.BadParameter("--from and --count exclude each other")
    where, otlp = directory(data), checked_otlp(otlp)
    workers = read(where.root).number("Workers") if workers is None else workers
    receipt = receipt_of(stock, delivery)
    generated = None
    if source is None:
        generated = generate(200 if count is None else count, seed or next_seed(where))
    if source is not None:
        print_skipped_files(source)
    lines = read_events(source) if source else generated.lines()  # type: ignore[union-attr]
    with (
        platform(where, workers=workers, limits=limits) as engine,
        exporting(where, engine.journal.database, engine.clock.now(), otlp) as exported,
    ):
        if stock is not None and receipt is not None:
            store = SQLiteInventory(engine.journal.database)
            receive(stock, receipt, store, engine.clock.now())
        units = generated.receipt if generated is not None and stock is None else None
        result = Run(engine, where).take(lines, units)
    _show(result, where, generated)
    if otlp is not None:
        result["exported"] = exported
        console.print(outcome_line(exported, otlp))
    finish(result, as_json=as_json)
    problems = _failures_of(result)
    if problems:
        raise CommandError("; ".join(problems))


def _failures_of(result: dict[str, Any]) -> list[str]:
    """Return the reasons for which a run has failed."""
    problems = []
    if result["not_begun"] and (result["sandbox"] or result["overdue"]):
        problems.append(f"{result['not_begun']} accepted orders have not begun; see the log")
    if result["overdue"]:
        problems.append(f"{result['overdue']} items are due and were not processed; see the log")
    if result["sink_error"]:
        problems.append(f"the analytics sink failed: {result['sink_error']}")
    return problems


class Run:
    """One run of the platform, from the first event until nothing is due."""

    def __init__(self, engine: Engine, where: DataDirectory) -> None:
        self.engine = engine
        self.where = where
        self.database = engine.journal.database
        self.sandbox = engine.clock.skips
        self.accepted = 0
        self.rejected = 0
        self.problems: list[str] = []

    def take(self, lines: Iterator[Line], receipt: Receipt | None) -> dict[str, Any]:
        """Send events and process them until nothing is due; return the summary."""
        store = SQLiteInventory(self.database)
        if receipt is not None and receipt.units:
            store.receive(receipt, self.engine.clock.now())
        before = summary.mark(self.database, self.engine.stack)
        started, now = time.perf_counter(), self.engine.clock.now()
        with Progress() as progress:
            self._send(lines, progress)
            self._work()(self.engine, lambda: progress.show(self.database))
        seconds = time.perf_counter() - started
        return {**self._summary(before, seconds), **self._limited(now)}

    def _work(self) -> Callable[[Engine, Callable[[], None]], None]:
        """Return the way in which the engine works until nothing is due."""
        if not self.sandbox:
            return work_off
        if isinstance(self.engine.invoker, LimitedInvoker):
            from infra.local.settle_limited import settle_limited

            return settle_limited
        return settle

    def _limited(self, since: float) -> dict[str, Any]:
        """Return the figures of a run with an account's limits: of its calls, and of its orders."""
        invoker = self.engine.invoker
        if not isinstance(invoker, LimitedInvoker):
            return {}
        counts = {name: invoker.counts[name] for name in COUNTED}
        minutes = summary.minutes_to_end(self.database, since)
        return {"lambda_faults": {"limits": described(invoker.limits), **counts, **minutes}}

    def _summary(self, before: summary.Mark, seconds: float) -> dict[str, Any]:
        stack = self.engine.stack
        counts = summary.of_run(self.database, before, stack)
        ended = counts["completed"] + counts["failed"] + counts["cancelled"] + counts["duplicates"]
        sink_error = self.engine.streams.last_error if self.engine.streams.failures else None
        return {
            "accepted": self.accepted,
            "rejected": self.rejected,
            **counts,
            "seconds": round(seconds, 3),
            "orders_per_second": round(ended / seconds, 1),
            "totals": summary.totals(self.database, stack),
            "problems": self.problems[:100],
            "failures": summary.failures(self.database, "id > ?", before.failure)[:100],
            "waiting": [_in_json(item) for item in waiting(self.database, stack)],
            "overdue": overdue(self.database, stack, self.engine.clock.now()),
            "sink_error": sink_error,
            "sandbox": self.sandbox,
        }

    def _send(self, lines: Iterator[Line], progress: Progress) -> None:
        """Put events on the bus while the platform processes the first ones."""
        bus = self.engine.stack.bus
        while chunk := list(islice(lines, CHUNK)):
            entries = []
            for line in chunk:
                if line.envelope is None:
                    self._reject(f"{line.path}:{line.number}: {line.problem}")
                else:
                    entries.append(to_entry(line, bus))
            answers = [
                self.engine.call(partial(self.engine.bus.put, batch))
                for batch in batches(entries, entry_size)
            ]
            self.engine.turn(0)
            for answer in answers:
                for entry in answer.result(0)["Entries"]:
                    if "EventId" in entry:
                        self.accepted += 1
                    else:
                        self._reject(f"{entry['ErrorCode']}: {entry['ErrorMessage']}")
            progress.accepted(self.accepted)

    def _reject(self, problem: str) -> None:
        self.rejected += 1
        self.problems.append(problem)
        if self.rejected <= SHOWN:
            errors.print(f"rejected {problem}", style="yellow")


def _in_json(item: Waiting) -> dict[str, Any]:
    return {"what": item.text, "count": item.count, "next_at": timestamp(item.next_at)}


def _show(result: dict[str, Any], where: DataDirectory, generated: Generated | None) -> None:
    from infra.cli.run_output import show_run

    show_run(console, result, where, generated)
