"""Sending of events to a bus, in batches."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from itertools import chain

from infra.cli.event_destination import (
    IN_THE_JOURNAL,
    EventDestination,
    JournalDestination,
    put_all,
    to_entry,
)
from infra.cli.event_files import Line
from infra.cli.event_reader import EventReader
from infra.contracts.snippets import BUS
from infra.terminal.output import console
from lambda_support.batches import batches, entry_size


def send(
    events: Iterator[Line],
    reader: EventReader,
    opening: AbstractContextManager[EventDestination],
) -> int:
    """Put events on a bus and print the counts; return how many were accepted.

    The destination is opened only if there is an event.
    """
    first = next(events, None)
    if first is None:
        console.print(f"0 events accepted, {reader.rejected} rejected")
        return 0
    with opening as destination:
        entries = (to_entry(line, BUS) for line in chain([first], events))
        accepted = sum(put_all(destination, batch) for batch in batches(entries, entry_size))
        noun = "event" if accepted == 1 else "events"
        counts = f"{accepted} {noun} accepted by {destination.where}, {reader.rejected} rejected"
        console.print(counts)
        if isinstance(destination, JournalDestination):
            console.print(IN_THE_JOURNAL)
    return accepted
