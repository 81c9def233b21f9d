"""Outcomes of orders as texts that are comparable between the two sides."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kernel.money import text

REQUESTS = {"Order Created", "Order Updated", "Order Cancelled"}
"""Events from upstream; all others are the platform's own."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an input."""

    paths: str
    status: str
    events: str
    charges: str
    stock: str = ""

    def fields(self) -> Mapping[str, str]:
        """Return the comparable fields by name."""
        return asdict(self)


def paths(runs: Iterable[str]) -> str:
    """Return the paths of runs in the format of the scenario table."""
    grouped: list[tuple[int, str]] = []
    for path in runs:
        if grouped and grouped[-1][1] == path:
            grouped[-1] = (grouped[-1][0] + 1, path)
        else:
            grouped.append((1, path))
    shown = [path if count == 1 else f"{count} x {path}" for count, path in grouped]
    return "; then ".join(shown) or "none"


def status(value: str | None, dead_letter_queues: Iterable[str]) -> str:
    """Return an order's status and the queues with its dead letters."""
    queues = "".join(f", dead letter in {queue}" for queue in sorted(set(dead_letter_queues)))
    return f"{value or 'no order'}{queues}"


def events(published: Iterable[tuple[str, str]]) -> str:
    """Return the types of orders' events."""
    return ", ".join(name for _, name in published) or "none"


def charge(ledger: str, amount: int, gateway: Sequence[str]) -> str:
    """Return a charge's state in the ledger and in the gateway's own record."""
    return f"{ledger} {text(amount)} (gateway: {', '.join(gateway) or 'nothing'})"


def stock(levels: Iterable[Mapping[str, Any]]) -> str:
    """Return the counts of each SKU."""
    counts = ("received", "on_hand", "reserved", "shipped", "restocked")
    return (
        "; ".join(
            f"{level['sku']} " + " ".join(f"{count}={level[count]}" for count in counts)
            for level in sorted(levels, key=lambda level: str(level["sku"]))
        )
        or "none"
    )
