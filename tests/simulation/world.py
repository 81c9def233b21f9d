"""One simulated platform: its clock, its clients, its faults, and its end."""

import json
import shutil
import sqlite3
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

import duckdb
import pytest

from infra.local.clock import Clock
from infra.local.directory.crash_marker import NO_ITEM, Item, ItemIds, Markers
from infra.local.directory.data_directory import DataDirectory
from infra.local.engine.engine import Engine
from infra.local.engine.parquet import write_parquet
from infra.local.orderflow import profile_of
from infra.local.workers.account import Account, Limits
from infra.local.workers.inline import InlineInvoker
from orders.early_requests import RETENTION
from tests.simulation import approvals, operators, redrives
from tests.simulation.clients import Clients
from tests.simulation.dice import Dice
from tests.simulation.faults import Faults, Kind
from tests.simulation.letters import Letters
from tests.simulation.model import Model, Violation, promise
from tests.simulation.operator_scripts import OPERATE
from tests.simulation.plan import plan
from tests.simulation.poison import KeptMarker, Poison, is_injected
from tests.simulation.stage import Stage, staged
from tests.simulation.tampering import Tampering
from tests.simulation.verdict import Outcome, judge, judge_blame, unsettled
from tests.simulation.workers import Crash, Workers

BEGINNING = 1_769_860_800.0  # 2026-01-31T12:00:00Z
TICK = 0.001
ROOT = Path(tempfile.gettempdir()) / "orderflow-simulation"
AFTERMATH = 300.0
"""Seconds after the clients' last action in which faults still happen."""

HORIZON = 6 * 3_600.0
"""Seconds without faults after which everything must have settled."""

PATIENCE = 30 * 3_600.0
"""The same, if a target never accepts an event: its retry policy lasts a day."""

QUIET = 20.0
"""Idle seconds after which the simulation checks whether everything has settled."""

MAX_CRASHES = 100
"""Number of crashes that shows that the host does not start any more."""

AWAY = "the sink is away"
DAY = 86_400.0
REQUESTS = {"put", "http", "decide", redrives.STOP, redrives.REDRIVE, OPERATE}
DOWNTIMES = (0.1, 5.0, 700.0)
NEVER = float("inf")

Mutate = Callable[[pytest.MonkeyPatch], None]
"""A change of the shipped code during one simulation."""


def unchanged(_: pytest.MonkeyPatch) -> None:
    """Leave the shipped code unchanged."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a seed: its actions by number and its faults by name; None means all."""

    actions: AbstractSet[int] | None = None
    faults: AbstractSet[str] | None = None


@dataclass(slots=True)
class SeedResult:
    """The result of a simulation: its trace, its faults, and counts."""

    seed: int
    trace: list[str] = field(default_factory=list)
    fired: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    broken: str = ""
    """The broken promise and the reason, or an empty text."""

    @property
    def rule(self) -> str:
        """The name of the broken promise."""
        return self.broken.partition(":")[0]


class World(Clock):
    """A simulated platform (see `tests.simulation.stage.Hooks`)."""

    stage: Stage
    engine: Engine
    tampering: Tampering

    def __init__(
        self,
        seed: int,
        part: Part | None = None,
        *,
        mutate: Mutate = unchanged,
        parquet: bool = False,
        limits: Limits | None = None,
    ) -> None:
        part = part or Part()
        self._account = None if limits is None else Account(limits)
        self._only_limits = limits is not None and part.faults == frozenset()
        self.dice = Dice(seed)
        self.faults = Faults(self.dice, self.tell, part.faults)
        self.result = SeedResult(seed, fired=self.faults.fired)
        self.model = Model(moved=self._moved)
        self.model.approvals.is_on = approvals.seconds(self.dice) > 0
        chosen = [
            (number, action)
            for number, action in enumerate(plan(seed))
            if part.actions is None or number in part.actions
        ]
        self.poison = Poison(self.dice, self.befalls)
        self.letters = Letters(self.model.wanted)
        staff = operators.Operators(self.dice, self.poison, self.letters)
        self.clients = Clients(chosen, BEGINNING, self.model, self.poison, staff)
        self._fits: dict[str, bool] = {}
        self._marker = KeptMarker(NO_ITEM, self._handles)
        self._opening = True
        self._watched = 0
        self._occurred: Counter[str] = Counter()
        self._time = BEGINNING
        self._away = False
        self._crashes = ""
        self._mails: set[str] = set()
        self._files: dict[Path, list[bytes]] = {}
        self._mutate = mutate
        self._parquet = parquet
        self._stops_at = self.clients.last + AFTERMATH
        self._folder = ROOT / str(seed)

    def play(self) -> SeedResult:
        """Simulate the seed to its end; return the result, with the broken promise if any."""
        with pytest.MonkeyPatch.context() as self._patch, staged(ROOT, self) as self.stage:
            self.workers = Workers(self.stage, self.dice, self.faults, account=self._account)
            self.letters.queues = self.stage.stack.dead_letter_queues
            self.letters.archive = self.stage.stack.archive
            self._mutate(self._patch)
            try:
                self._open()
                self._live()
                self._judge()
            except Violation as violation:
                self.result.broken = str(violation)
            except Exception as error:  # noqa: BLE001 - an unhandled error is a result too
                self.result.broken = f"code: {error!r}\n{traceback.format_exc()}"
            finally:
                self.workers.close()
                shutil.rmtree(self._folder, ignore_errors=True)
                with suppress(OSError):
                    ROOT.rmdir()  # unless another simulation uses it
            self._count()
        return self.result

    # the hooks of the stage

    def now(self) -> float:
        """Return the virtual time."""
        return self._time

    def chance(self) -> float:
        """Return the next number in [0, 1) for jitter and ids."""
        self._occurred["chance"] += 1
        return self.dice.roll("chance", self._occurred["chance"])

    def at_commit(self, moment: str) -> None:
        """Pause, kill or crash the committing handler or host; check every promise."""
        if self.workers.current is not None:
            if moment == "after":
                self.model.check(self.stage.store, self.stage.sandbox)
            self.workers.hold()
        elif self.befalls("commit", moment) or self._crashes == moment:
            self._crashes = ""
            raise Crash

    def partner(self, call: str, order_id: str) -> Kind | None:
        """Return the fault of a partner in this call, or None."""
        return self.befalls("partner", f"{call}/{order_id}")

    def mailed(self, name: str) -> None:
        """Record a mail."""
        self._mails.add(name)

    def sink(self, path: Path, lines: list[bytes]) -> None:
        """Take a file of the analysts' sink, or raise `OSError`."""
        if self._away:
            raise OSError(AWAY)
        if self._parquet and path.suffix == ".parquet":
            [stream] = self.stage.stack.streams.values()
            write_parquet(lines, stream.columns, self._folder / path.relative_to(ROOT))
        self._files[path] = list(lines)

    def fits(self, line: bytes) -> bool:
        """Return whether a row converts; each row does always or never."""
        name = str(json.loads(line).get("event_id"))
        if name not in self._fits:
            self._fits[name] = self.faults.at("row", f"row/{name}") is None
        return self._fits[name]

    def _handles(self, item: ItemIds) -> None:
        """Crash in the middle of an item, if the poison says so."""
        if not self._opening and self.poison.ends(item):
            self.tell(f"{item[0].label} {item[1]} ends the process")
            raise Crash

    def tell(self, text: str) -> None:
        """Add a line to the trace."""
        self.result.trace.append(f"{self._time - BEGINNING:11.3f}  {text}")

    def _moved(self, order_id: str, where: str) -> None:
        self.tell(f"{order_id}: {where}")
        self.clients.watch(order_id, where.rpartition(" ")[2], self._time)

    def befalls(self, place: str, site: str) -> Kind | None:
        """Return the fault at a site's next occurrence, or None."""
        self._occurred[site] += 1
        return self.faults.at(place, f"{site}/{self._occurred[site]}")

    # the loop

    def _live(self) -> None:
        """Simulate until everything has settled."""
        while True:
            try:
                self._act()
                happened = self.engine.turn(0)
                self._watch()
                self.clients.listen(self.stage.store, self._time)
                self.tampering.vanish()
                if (not happened or self._due() > self._time) and not self._advance():
                    return
            except Crash:
                self._restart()

    def _watch(self) -> None:
        """Check the dead letters, the jobs and the replays."""
        commits = self.engine.journal.commits
        if commits != self._watched:
            self._watched = commits
            active = self.engine.letter_jobs.active or self.engine.replays.active
            self.letters.watch(self.stage.store, jobs=bool(active))

    def _act(self) -> None:
        """Perform the due actions of the plan."""
        while (due := self.clients.next(self._time)) is not None:
            number, action = due
            self.tell(str(action))
            if action.do in REQUESTS:
                self.clients.send(self.engine, number, action, self._time)
            elif action.do == "receive":
                try:
                    self.clients.receive(self.stage.store, action, self._time)
                except Crash:
                    self.clients.again(number, action, self._time)
                    raise
            elif action.do == "redrive":
                self.engine.call(partial(self.engine.dead_letters.redrive, [], "an operator"))
            elif action.do == "crash":
                self._crashes = action.body["moment"]
            elif action.do == "jump":
                self._time += action.body["seconds"]
                if action.body["seconds"] > DAY:
                    self.workers.hang_up()
            else:
                self._away = action.do == "sink away"

    def _advance(self) -> bool:
        """Advance the clock to the next due time; return whether there is one."""
        due = self._due()
        if due > self._time + QUIET:
            pending = unsettled(self.model, self._outcome())
            if self._is_over(due, pending) and not self._outlast():
                return False
            if due == NEVER or pending:
                due = min(due, self.engine.next_due(schedules=True))
        if not self.faults.calm and due > self._stops_at and self.clients.done:
            self._calm_down()
        self._time = max(self._time + TICK, due)
        return True

    def _outlast(self) -> bool:
        """Advance the clock by the day for which requests are kept; return whether any was."""
        row = self.stage.store.row("select max(came_at) from early_requests")
        if row is None or row[0] is None or self._time > row[0] + RETENTION + HORIZON:
            return False
        self._time = max(self._time, row[0] + RETENTION)
        self._stops_at = max(self._stops_at, self._time + HORIZON)
        return True

    def _due(self) -> float:
        """Return the next due time, without schedules."""
        engine = self.engine.next_due(schedules=False)
        return min(self.clients.next_at(), self.workers.next_ready(), engine)

    def _calm_down(self) -> None:
        self.faults.calm = True
        self._away = False
        self._stops_at = self._time + (PATIENCE if self.poison.lasting else HORIZON)
        self.tell("no more faults")

    def _is_over(self, due: float, pending: list[str]) -> bool:
        settled = due == NEVER and not pending
        return self.faults.calm and (settled or self._time > self._stops_at)

    def _restart(self) -> None:
        """Restart the host; some handlers of the crashed one continue concurrently."""
        self._occurred["crashes"] += 1
        number = self._occurred["crashes"]
        promise("start", number < MAX_CRASHES, f"the machine crashes {number} times")
        self.tell("the machine crashes")
        self.letters.check(self.stage.store)
        self.letters.paced.crashed(self.letters.effects)
        self.clients.listen(self.stage.store, self._time)
        orphans = self.workers.orphans()
        self.clients.disconnected(self._time)
        self._time += self.dice.pick(DOWNTIMES, "downtime", number)
        self.stage.restarted()
        self.workers = Workers(self.stage, self.dice, self.faults, self.workers, self._account)
        self.workers.adopt(orphans)
        self._open()

    def _open(self) -> None:
        """Open an engine on the database."""
        directory = DataDirectory(ROOT)
        invoker = cast("InlineInvoker", self.workers)
        markers, left = Markers(), self._marker.kept
        markers.interrupted = [] if left is NO_ITEM else [Item(*left)]
        markers.engine = self._marker = KeptMarker(left, self._handles)
        self._opening = True
        stack, store = self.stage.stack, self.stage.store
        try:
            self.engine = Engine(
                stack,
                store,
                directory,
                invoker,
                self,
                profile=profile_of(stack.state_machines),
                markers=markers,
            )
        except Crash:
            self._restart()
            return
        for line in self.engine.quarantined:
            self.result.counts["quarantined"] += 1
            self.tell(line)
            self.poison.forget(line)
        self._marker.enter(NO_ITEM)
        self._opening = False
        self._watched = -1
        self.tampering = Tampering(self.engine, self.poison, self._patch)

    # the end

    def _outcome(self) -> Outcome:
        return Outcome(
            self.stage.store,
            self.engine.stack.dead_letter_queues,
            self._files,
            self._mails,
            {name.partition("@")[0] for name in self.result.fired},
        )

    def _judge(self) -> None:
        """Check all promises, and the Parquet files if any were written."""
        outcome = self._outcome()
        for row in self.stage.store.rows("select kind, item, error, traceback from failures"):
            if not self._is_expected(row):
                raise Violation("code", f"item {row['item']} failed:\n{row['traceback']}")
        judge(self.model, outcome)
        self.letters.left(self.stage.store)
        if self._only_limits:
            judge_blame(outcome)
        if self._parquet:
            files = f"{self._folder}/**/*.parquet"
            with duckdb.connect() as connection:
                query = f"select count(distinct event_id) from '{files}'"
                [(number,)] = connection.execute(query).fetchall()
            ids = {row["event_id"] for row in outcome.written()}
            if number != len(ids):
                raise Violation("analytics", f"{number} event ids in Parquet, not {len(ids)}")

    def _is_expected(self, row: sqlite3.Row) -> bool:
        """Return whether an item's failure was injected."""
        error = row["error"]
        garbled = row["kind"] == "record" and error.startswith("Lambda.")
        away = row["kind"] == "record" and AWAY in row["traceback"]
        ended = error == "ProcessEnded" and self.poison.ended
        return is_injected(error) or garbled or away or bool(ended)

    def _count(self) -> None:
        """Count faults and outcomes, to show whether the mix reaches every path."""
        counts = self.result.counts
        counts.update(name.partition("@")[0] for name in self.result.fired)
        if self._account is not None:
            counts.update({f"account: {what}": n for what, n in self._account.counts.items()})
        counts.update(self.letters.shares())
        [(redriven,)] = self.stage.store.rows("select count(*) from execution_redrives")
        counts["redriven"] += redriven
        for row in self.stage.store.rows("select status, failure from orders"):
            counts[" ".join(filter(None, (row["status"], row["failure"])))] += 1
