"""The feed of generated orders to either side, a few at a time."""

from itertools import islice
from typing import Any, Protocol

from infra.cli.generator import Generated

PORTION = 4
"""Orders per portion: MiniStack starts a process for each running function."""


class Side(Protocol):
    """A side of the rehearsal."""

    def put(self, *events: dict[str, Any]) -> object:
        """Put events on the bus in one request."""

    def settle(self) -> None:
        """Wait until nothing is due."""


def in_portions(side: Side, orders: Generated) -> None:
    """Put orders on the bus in portions; wait until each portion has settled."""
    events = iter([event for kind, event in orders.events if kind != "rejected"])
    while portion := list(islice(events, PORTION)):
        side.put(*portion)
        side.settle()
