"""Stock and its rules; units are whole numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


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
    """Units that arrived: known by its content's digest, so it is received once."""

    digest: str
    units: Mapping[str, int]


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
