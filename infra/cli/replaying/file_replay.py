"""One command's replay of files: from its checkpoint, to its account."""

import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain, dropwhile
from typing import TYPE_CHECKING, Any

from infra.cli.errors import CommandError
from infra.cli.event_destination import (
    IN_THE_JOURNAL,
    EventDestination,
    JournalDestination,
    open_destination,
)
from infra.cli.event_files import Line
from infra.cli.replaying import proof
from infra.cli.replaying.checkpoint import (
    CANCELLED,
    COMPLETED,
    PAUSED,
    Checkpoint,
    Checkpoints,
    Keeper,
    StopRequested,
    key_of,
)
from infra.cli.replaying.file_source import Source
from infra.cli.replaying.interruption import Interruption
from infra.cli.replaying.pacing import Brake, Hold, Pace
from infra.cli.replaying.progress import ReplayProgress
from infra.cli.replaying.replayer import Choice, Replayer, chosen
from infra.cli.replaying.tally import SHOWN, Tally
from infra.deployed.account import Account
from infra.local.directory.data_directory import DataDirectory
from infra.local.template.stack import Stack
from infra.terminal.output import console
from kernel.timestamps import timestamp
from storage.sqlite.database import Database

if TYPE_CHECKING:
    from infra.deployed.replay_watch import StackProof
    from infra.deployed.stack import DeployedStack

MAX_NAME = 64
"""Characters of a replay's name (EventBridge, StartReplay)."""

POLL = 0.2
"""Seconds between two looks at the waiting work, after the last event."""


@dataclass(frozen=True, slots=True)
class Command:
    """All that decides which events a replay sends, and where.

    ``words`` are its options as text, for the checkpoint's key. ``deployed`` is the stack whose
    work the brake and the proof look at.
    """

    source: Source
    choice: Choice
    where: DataDirectory
    account: Account | None
    stack: Stack
    words: dict[str, Any]
    name: str = ""
    new_ids: bool = False
    restart: bool = False
    deployed: "DeployedStack | None" = None


class FileReplay:
    """A replay of files, which continues at the checkpoint of the same command."""

    def __init__(self, command: Command) -> None:
        self.command = command
        digest = command.source.digest()
        self.checkpoints = None if digest is None else Checkpoints(command.where.root)
        target = command.account.where if command.account else str(command.where.root)
        key = key_of({"digest": digest, "to": target, **command.words})
        self.checkpoint, self.continues = self._begun(key)
        self.tally = Tally(self.checkpoint.counts)
        self.stack_proof = None if command.deployed is None else _proof_of(command.deployed)

    def _begun(self, key: str) -> tuple[Checkpoint, bool]:
        """Return the checkpoint of an interrupted replay of this command, or a new one."""
        found = self.checkpoints.find(key) if self.checkpoints else None
        if self.checkpoints and found is not None and self.checkpoints.is_running(key):
            raise CommandError(
                f"this replay is running as process {found.process}; `orders replays pause"
                f" {found.name}` stops it"
            )
        if found is not None and found.state in ("RUNNING", PAUSED) and not self.command.restart:
            return replace(found, interruptions=found.interruptions + 1, state="RUNNING"), True
        started = datetime.now(UTC)
        stamp = started.strftime("%Y%m%dT%H%M%SZ")
        kept = "".join(
            letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "-"
            for letter in self.command.source.name[: MAX_NAME - len(stamp) - 1]
        )
        new = Checkpoint(
            key,
            self.command.name or f"{kept}-{stamp}",
            self.command.source.described(),
            command=shlex.join(["orders", *sys.argv[1:]]),
            suffix=f"{int(started.timestamp() * 1000):x}"[-8:] if self.command.new_ids else "",
            started=timestamp(started.timestamp()),
            before=proof.figures(self.command.where, self.command.stack),
        )
        return new, False

    def run(
        self, rate: float | None, speed: float | None, *, brake: bool, wait: float
    ) -> dict[str, Any]:
        """Send the events, print the account, and return it for ``--json``."""
        if self.continues:
            console.print(
                f"{self.checkpoint.name} continues at value {self.checkpoint.offset + 1:,}:"
                f" {self.tally['accepted']:,} events were accepted before (--restart begins again)"
            )
        keeper, pace = Keeper(self.checkpoints, self.checkpoint), (rate, speed)
        choice = replace(self.command.choice, suffix=self.checkpoint.suffix)
        items = self.command.source.items(self.checkpoint.offset)
        events = _until_sent(chosen(items, choice, self.tally))
        first = next(events, None)
        destination = None
        if first is None and not self.continues:
            keeper.checkpoint = replace(keeper.checkpoint, state=COMPLETED)  # nothing to keep
            return self._account(keeper, destination, wait)
        with self.checkpoints.held(self.checkpoint.key) if self.checkpoints else nullcontext():
            try:
                if first is not None:
                    destination = self._send(chain([first], events), keeper, pace, brake=brake)
                keeper.save(COMPLETED)
            except KeyboardInterrupt:
                keeper.save(PAUSED)
            except StopRequested as stop:
                keeper.checkpoint = replace(keeper.checkpoint, state=stop.state)
            except BaseException:
                keeper.save(PAUSED)
                raise
        return self._account(keeper, destination, wait)

    def _send(
        self,
        events: Iterator[tuple[int, list[Line]]],
        keeper: Keeper,
        pace: tuple[float | None, float | None],
        *,
        brake: bool,
    ) -> EventDestination:
        """Send all events; return their destination."""
        stop = Interruption(keeper.check)
        with (
            open_destination(self.command.where, self.command.account) as destination,
            stop.watched(),
        ):
            keeper.save()
            progress = ReplayProgress(self.command.source.fraction)
            held = self._brake(destination, stop) if brake else None
            paced = Pace(*pace, sleep=stop.sleep)
            sends = (destination, keeper, self.tally, paced, held, progress, stop)
            proof_of = self.stack_proof
            replayer = Replayer(*sends, proof_of.before) if proof_of else Replayer(*sends)
            replayer.run(events)
        return destination

    def _brake(self, destination: EventDestination, stop: Interruption) -> Hold | None:
        """Return the brake; None if nothing processes the events, or its work is not visible."""
        command = self.command
        if command.deployed is not None:
            from infra.deployed.replay_watch import StackBrake  # imports boto3's users

            return StackBrake(command.deployed, command.stack, sleep=stop.sleep, check=stop.check)
        if isinstance(destination, JournalDestination) or command.account:
            return None
        return Brake(command.where.reader(), command.stack, sleep=stop.sleep, check=stop.check)

    def _account(
        self, keeper: Keeper, destination: EventDestination | None, wait: float
    ) -> dict[str, Any]:
        """Print the sent events and their outcomes; return them for ``--json``."""
        checkpoint = keeper.checkpoint
        if checkpoint.state in (PAUSED, CANCELLED):  # events after the checkpoint do not count
            rejections, self.tally = self.tally.rejections, Tally(checkpoint.counts)
            self.tally.rejections = rejections
        self._print_counts(checkpoint, destination)
        result = {
            "name": checkpoint.name,
            "state": checkpoint.state,
            "interruptions": checkpoint.interruptions,
            **self.tally.to_json(),
        }
        if self.stack_proof is not None and destination is not None:
            return {**result, **self._proof_of_stack(self.stack_proof, wait)}
        if self.command.account is not None or destination is None:
            return result
        behind, is_processed = 0, not isinstance(destination, JournalDestination)
        if is_processed:
            behind = _wait_until_done(self.command.where, self.command.stack, wait)
        elif checkpoint.state == COMPLETED:
            console.print(IN_THE_JOURNAL)
        return {**result, **self._proof(checkpoint, behind, is_processed=is_processed)}

    def _proof_of_stack(self, stack_proof: "StackProof", wait: float) -> dict[str, Any]:
        """Print and return the figures of the replay's first orders, before and after."""
        unfinished = stack_proof.wait(wait)
        before, after = stack_proof.after()
        if unfinished:
            console.print(f"{unfinished:,} orders are not processed yet; the figures are of now")
        console.print(f"proof: the records of {stack_proof.sample:,} orders of this replay")
        proof.show(before, after)
        figures = {"before": before, "after": after}
        return {"proof": figures, "sample": stack_proof.sample, "unprocessed": unfinished}

    def _print_counts(self, checkpoint: Checkpoint, destination: EventDestination | None) -> None:
        tally = self.tally
        noun = "event" if tally["accepted"] == 1 else "events"
        by = f" by {destination.where}" if destination else ""
        console.print(f"{tally['accepted']:,} {noun} accepted{by}, {tally['rejected']:,} rejected")
        if tally["facts_skipped"]:
            console.print(
                f"{tally['facts_skipped']:,} facts of the platform were skipped: it states its own"
                " (--facts sends them, on one machine)"
            )
        if tally["not_selected"]:
            console.print(f"{tally['not_selected']:,} events were not selected")
        for reason, number in tally.reasons.most_common(SHOWN):
            console.print(f"  {number:,} rejected: {reason}")
        if checkpoint.state != COMPLETED:
            console.print(
                f"{checkpoint.name} is {checkpoint.state} after value {checkpoint.offset:,}."
                + ("" if checkpoint.state == CANCELLED else " The same command continues it")
            )

    def _proof(self, checkpoint: Checkpoint, behind: int, *, is_processed: bool) -> dict[str, Any]:
        """Print and return the outcomes, and the figures before and after."""
        after = proof.figures(self.command.where, self.command.stack)
        assert after is not None, "the destination has opened the directory"
        if behind:
            console.print(f"{behind:,} due items are not processed yet; the figures are of now")
        if is_processed:
            proof.show(checkpoint.before, after)
        return {**proof.to_json(checkpoint.before, after), "unprocessed": behind}


def _proof_of(stack: "DeployedStack") -> "StackProof":
    from infra.deployed.replay_watch import StackProof

    return StackProof(stack)


def _until_sent(
    events: Iterator[tuple[int, list[Line]]],
) -> Iterator[tuple[int, list[Line]]]:
    """Yield from the first value that has an event to send."""
    return dropwhile(lambda item: not item[1], events)


def _wait_until_done(where: DataDirectory, stack: Stack, wait: float) -> int:
    """Wait until the platform has no due work; return the number of due items after the wait."""
    reader = where.reader()
    brake, end, behind = Brake(reader, stack), time.monotonic() + wait, 0
    try:
        while (behind := brake.behind() + _running(reader)) and time.monotonic() < end:
            time.sleep(POLL)
    except KeyboardInterrupt:
        console.print("did not wait for the outcomes; all events were accepted")
    finally:
        reader.close()
    return behind


def _running(reader: Database) -> int:
    """Return the number of executions, without those of orders that wait for another try."""
    row = reader.row(
        "select count(*) from executions e where status = 'RUNNING' and not exists"
        " (select 1 from orders o where o.order_id = e.order_id and o.status = 'WAITING'"
        " and o.resume_at > ?)",
        time.time(),
    )
    return int(row[0]) if row else 0
