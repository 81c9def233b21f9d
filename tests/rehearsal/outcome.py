"""What orders led to, in words that are the same on both sides."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kernel.money import text

REQUESTS = {"Order Created", "Order Updated", "Order Cancelled"}
"""Events that come from upstream; all others are the platform's own."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What some input led to."""

    paths: str
    status: str
    events: str
    charges: str
    stock: str = ""

    def fields(self) -> Mapping[str, str]:
        """Return what can be compared, by name."""
        return asdict(self)


def paths(found: Iterable[str]) -> str:
    """Return paths of runs as the scenario table has them."""
    grouped: list[tuple[int, str]] = []
    for path in found:
        if grouped and grouped[-1][1] == path:
            grouped[-1] = (grouped[-1][0] + 1, path)
        else:
            grouped.append((1, path))
    shown = [path if count == 1 else f"{count} x {path}" for count, path in grouped]
    return "; then ".join(shown) or "none"


def status(found: str | None, letters: Iterable[str]) -> str:
    """Return an order's status and the queues that its dead letters are in."""
    queues = "".join(f", dead letter in {queue}" for queue in sorted(set(letters)))
    return f"{found or 'no order'}{queues}"


def events(found: Iterable[tuple[str, str]]) -> str:
    """Return the types of orders' events."""
    return ", ".join(name for _, name in found) or "none"


def charge(ledger: str, amount: int, gateway: Sequence[str]) -> str:
    """Return what the ledger and the gateway's own record say of a charge."""
    return f"{ledger} {text(amount)} (gateway: {', '.join(gateway) or 'nothing'})"


def stock(levels: Iterable[Mapping[str, Any]]) -> str:
    """Return the counts of each SKU that any order touched."""
    counts = ("received", "on_hand", "reserved", "shipped", "restocked")
    return (
        "; ".join(
            f"{one['sku']} " + " ".join(f"{count}={one[count]}" for count in counts)
            for one in sorted(levels, key=lambda level: str(level["sku"]))
        )
        or "none"
    )
