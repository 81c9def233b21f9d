"""Stock, receipts and their rules; units are integers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple, Self

from kernel.errors import InvalidStock

_DELIVERY = "delivery "


class Move(StrEnum):
    """A movement of an order's units: RELEASE undoes RESERVE, RESTOCK undoes COMMIT."""

    RESERVE = "RESERVE"
    COMMIT = "COMMIT"
    RELEASE = "RELEASE"
    RESTOCK = "RESTOCK"


class Stock(NamedTuple):
    """Units of one SKU: ``on_hand + shipped - restocked == received``, ``reserved <= on_hand``."""

    sku: str
    received: int = 0
    on_hand: int = 0
    reserved: int = 0
    shipped: int = 0
    restocked: int = 0

    @property
    def available(self) -> int:
        """Units that can be reserved."""
        return self.on_hand - self.reserved


class Shortage(NamedTuple):
    """A SKU whose stock does not cover a demand; ``known`` is false if it was never received."""

    sku: str
    requested: int
    available: int
    known: bool = True


@dataclass(frozen=True, slots=True)
class Receipt:
    """Units that arrived, to be received once.

    Parameters
    ----------
    digest
        The receipt's identity: the digest of its units, with its delivery's number as a prefix if
        it has one.
    units
        Units by SKU.
    earlier
        Digests under which earlier versions of the platform may have received it.
    """

    digest: str
    units: Mapping[str, int]
    earlier: tuple[str, ...] = ()

    @classmethod
    def of(cls, units: Mapping[str, int], delivery: str = "", earlier: Iterable[str] = ()) -> Self:
        """Return the receipt of units; ``delivery`` is a number without blanks, or empty.

        Equal units without a number are one receipt. With another delivery's number they are
        another receipt.
        """
        content = sha256(_canonical(units).encode()).hexdigest()
        if delivery:
            return cls(f"{_DELIVERY}{delivery} {content}", units)
        return cls(content, units, tuple(earlier))

    @property
    def delivery(self) -> str:
        """The delivery's number; empty if it has none."""
        return mark_of(self.digest).removeprefix(_DELIVERY) if self._numbered else ""

    @property
    def content(self) -> str:
        """The digest of the units alone."""
        return self.digest.rpartition(" ")[2] if self._numbered else self.digest

    @property
    def _numbered(self) -> bool:
        return self.digest.startswith(_DELIVERY)


def mark_of(digest: str) -> str:
    """Return the unique part of a receipt's digest: the delivery's number, or the digest."""
    return digest.rpartition(" ")[0] if digest.startswith(_DELIVERY) else digest


def other_units(mark: str, since: str) -> InvalidStock:
    """Return the error of a delivery whose number was received with other units.

    ``since`` is the time of that receipt.
    """
    return InvalidStock(
        mark,
        f"was received with other units at {since}; nothing was added:"
        " correct the number, or give these units one of their own",
    )


def _canonical(units: Mapping[str, int]) -> str:
    """Return units as a stock file in canonical form."""
    lines = [f"{sku},{count}" for sku, count in sorted(units.items())]
    return "\n".join(["sku,on_hand", *lines, ""])


class Adjustment(NamedTuple):
    """Units of one SKU to add, or to remove if negative, after a count; ``key`` is unique."""

    sku: str
    units: int
    key: str

    @property
    def digest(self) -> str:
        """The mark under which the adjustment is among the receipts, once."""
        return f"adjustment-{self.key}"


def adjusted(stock: Mapping[str, Stock], adjustment: Adjustment) -> Stock:
    """Return the stock of a SKU after an adjustment.

    Raises
    ------
    InvalidStock
        It is zero, or would remove units that are not there or that orders have reserved.
    """
    sku, units, _ = adjustment
    if units == 0:
        raise InvalidStock(sku, "0 units change nothing; give a number such as +5 or -2")
    if sku not in stock:
        raise InvalidStock(sku, "was never received; receive it with `orders stock receive`")
    before = stock[sku]
    if before.available + units < 0:
        raise InvalidStock(
            sku,
            f"{-units} units cannot be removed: {before.on_hand} are on hand, and orders have"
            f" reserved {before.reserved} of them; remove {before.available} at most, or cancel"
            " an order",
        )
    return before._replace(received=before.received + units, on_hand=before.on_hand + units)


class OutOfStock(Exception):
    """Stock does not cover every line, so nothing was reserved."""

    def __init__(self, missing: Sequence[Shortage]) -> None:
        super().__init__(", ".join(shortage.sku for shortage in missing))
        self.missing = tuple(missing)


def shortages(demand: Mapping[str, int], stock: Mapping[str, Stock]) -> list[Shortage]:
    """Return the SKUs of a demand that the stock does not cover."""
    return [
        Shortage(sku, units, stock[sku].available if sku in stock else 0, sku in stock)
        for sku, units in demand.items()
        if sku not in stock or stock[sku].available < units
    ]
