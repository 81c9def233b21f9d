"""Stock and its rules; units are whole numbers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple, Self

from kernel.errors import InvalidStock

_DELIVERY = "delivery "


class Move(StrEnum):
    """What a step does to the units of an order; each is the inverse of another."""

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
        """Units that can still be reserved."""
        return self.on_hand - self.reserved


class Shortage(NamedTuple):
    """A SKU whose stock does not cover a demand; ``known`` is false if nobody stocks it."""

    sku: str
    requested: int
    available: int
    known: bool = True


@dataclass(frozen=True, slots=True)
class Receipt:
    """Units that arrived: known by their digest, or by their delivery's number; received once.

    Parameters
    ----------
    digest
        The receipt's identity: the digest of its units, after its delivery's number if it has one.
    units
        Units by SKU.
    earlier
        Digests under which an earlier version of the platform may have received it.
    """

    digest: str
    units: Mapping[str, int]
    earlier: tuple[str, ...] = ()

    @classmethod
    def of(cls, units: Mapping[str, int], delivery: str = "", earlier: Iterable[str] = ()) -> Self:
        """Return the receipt of units; ``delivery`` is a number without blanks, if it has one.

        Units alone are received once. A delivery's number makes the same units another receipt.
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
    """Return which of a receipt's digest no two receipts share: a delivery's number, or all."""
    return digest.rpartition(" ")[0] if digest.startswith(_DELIVERY) else digest


def other_units(mark: str, since: str) -> InvalidStock:
    """Return the error of a delivery whose number was given to other units before.

    ``since`` is the time of that receipt.
    """
    return InvalidStock(
        mark,
        f"was received with other units at {since}; nothing was added:"
        " correct the number, or give these units one of their own",
    )


def _canonical(units: Mapping[str, int]) -> str:
    """Return units as a stock file in one way of writing."""
    lines = [f"{sku},{count}" for sku, count in sorted(units.items())]
    return "\n".join(["sku,on_hand", *lines, ""])


class OutOfStock(Exception):
    """Not every line is covered, so nothing was reserved."""

    def __init__(self, missing: Sequence[Shortage]) -> None:
        super().__init__(", ".join(shortage.sku for shortage in missing))
        self.missing = tuple(missing)


def shortages(demand: Mapping[str, int], stock: Mapping[str, Stock]) -> list[Shortage]:
    """Return what of a demand the stock does not cover."""
    return [
        Shortage(sku, units, stock[sku].available if sku in stock else 0, sku in stock)
        for sku, units in demand.items()
        if sku not in stock or stock[sku].available < units
    ]
