"""The loop of a replay of files: read, select, rewrite, pace, send, and keep the checkpoint."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.cli.event_destination import EventDestination, put_all, to_entry
from infra.cli.event_files import Line
from infra.cli.replaying.checkpoint import Keeper
from infra.cli.replaying.file_source import Item
from infra.cli.replaying.interruption import Interruption
from infra.cli.replaying.pacing import Hold, Pace
from infra.cli.replaying.progress import ReplayProgress
from infra.cli.replaying.rewriting import named, with_new_ids
from infra.cli.replaying.selection import Selection
from infra.cli.replaying.tally import Tally
from infra.contracts.snippets import BUS
from kernel.events import REQUESTS
from lambda_support.batches import MAX_ENTRIES, batches, entry_size


@dataclass(frozen=True, slots=True)
class Choice:
    """The events to send.

    ``facts`` also sends the platform's own events, ``limit`` bounds the number of sent events, and
    ``suffix`` gives orders new ids.
    """

    selection: Selection
    facts: bool = False
    limit: int | None = None
    suffix: str = ""


def chosen(items: Iterable[Item], choice: Choice, tally: Tally) -> Iterator[tuple[int, list[Line]]]:
    """Yield the events to send of each value, with the value's offset; count the others."""
    for item in items:
        lines = []
        for line in item.lines:
            if choice.limit is not None and tally["sent"] >= choice.limit:
                break
            if (taken := _taken(line, choice, tally)) is not None:
                tally.count("sent")
                lines.append(taken)
        yield item.offset, lines
        if choice.limit is not None and tally["sent"] >= choice.limit:
            return


def _taken(line: Line, choice: Choice, tally: Tally) -> Line | None:
    """Return an event to send, or None for another one, which is counted."""
    tally.count("read")
    if line.envelope is None:
        tally.reject(line)
        return None
    if not choice.selection.takes(line.envelope):
        tally.count("not_selected")
        return None
    if line.envelope["detail-type"] not in REQUESTS and not choice.facts:
        tally.count("facts_skipped")
        return None
    return with_new_ids(line, choice.suffix) if choice.suffix else line


class Replayer:
    """Sends the chosen events to a destination, in batches or at a pace.

    A batch has all events of its values, so that the counts of a checkpoint are those of its
    offset. ``before`` gets the events of each request before it is sent.
    """

    def __init__(
        self,
        destination: EventDestination,
        keeper: Keeper,
        tally: Tally,
        pace: Pace,
        brake: Hold | None = None,
        progress: ReplayProgress | None = None,
        interruption: Interruption | None = None,
        before: Callable[[Iterable[Mapping[str, Any]]], None] = lambda _envelopes: None,
    ) -> None:
        self._destination = destination
        self._keeper = keeper
        self._tally = tally
        self._pace = pace
        self._brake = brake
        self._batch: list[Line] = []
        self._progress = progress or ReplayProgress()
        self._interruption = interruption or Interruption()
        self._before = before

    def run(self, events: Iterable[tuple[int, list[Line]]]) -> None:
        """Send all events; raise `KeyboardInterrupt` between two requests if asked to stop."""
        offset = self._keeper.checkpoint.offset
        try:
            for offset, lines in events:
                self._batch += [named(line, self._keeper.checkpoint.name) for line in lines]
                if len(self._batch) >= MAX_ENTRIES or self._pace.is_set:
                    self._send(offset)
                    self._interruption.check()
                self._show()
            self._send(offset)
        finally:
            self._progress.clear()

    def _send(self, offset: int) -> None:
        """Send the batch, and then advance the checkpoint."""
        if self._pace.is_set:
            for line in self._batch:
                self._pace.wait(line.envelope or {})
                self._interruption.check()
                self._put([line])
        elif self._batch:
            for batch in batches(self._batch, lambda line: entry_size(line.entry or {})):
                self._put(batch)
        self._batch = []
        self._keeper.advance(offset, self._tally.saved())

    def _put(self, lines: Sequence[Line]) -> None:
        if self._brake is not None:
            self._brake.wait(self._show_wait)
        self._before(line.envelope or {} for line in lines)
        put_all(self._destination, [to_entry(line, BUS) for line in lines])
        for line in lines:
            self._tally.types[(line.envelope or {})["detail-type"]] += 1
        self._tally.count("accepted", len(lines))

    def _show_wait(self, behind: int | str) -> None:
        what = behind if isinstance(behind, str) else f"{behind:,} due items"
        self._show(f"waiting: {what}")

    def _show(self, note: str = "") -> None:
        self._progress.show(self._tally["read"], self._tally["accepted"], note)
