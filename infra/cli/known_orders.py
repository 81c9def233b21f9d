"""The orders among sent events that a data directory knows already: nothing happens twice."""

from collections.abc import Iterable, Iterator
from contextlib import closing

from infra.cli.event_files import Line
from infra.local.directory.data_directory import DataDirectory
from kernel.events import OrderCreated

SHOWN = 3
"""Known orders that are named."""


class KnownOrders:
    """Looks up each `Order Created` before it is sent."""

    def __init__(self, where: DataDirectory | None) -> None:
        self._where = where if where is not None and where.database.exists() else None
        self.known: dict[str, str] = {}

    def among(self, events: Iterable[Line]) -> Iterator[Line]:
        """Yield the events unchanged, and collect the orders that exist."""
        if self._where is None:
            yield from events
            return
        with closing(self._where.reader()) as database:
            for line in events:
                envelope = line.envelope
                if envelope is not None and envelope["detail-type"] == OrderCreated.name:
                    order_id = envelope["detail"]["order_id"]
                    query = "select status from orders where order_id = ?"
                    row = database.row(query, order_id)
                    if row is not None:
                        self.known[order_id] = row["status"]
                yield line

    def note(self) -> str:
        """Return a sentence about the known orders; empty without any."""
        if not self.known:
            return ""
        named = [f"{order_id} ({status})" for order_id, status in list(self.known.items())[:SHOWN]]
        more = len(self.known) - len(named)
        names = ", ".join(named) + (f" and {more} more" if more else "")
        return f"known already, so that nothing happens twice: {names}"
