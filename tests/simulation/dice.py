"""Stable chance: a roll depends on the seed and on its site only.

So the removal of an order or a fault changes little for the others, and a failing trace can be
shortened.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar
from uuid import UUID

T = TypeVar("T")


class Dice:
    """The dice of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._state = blake2b(f"{seed}|".encode(), digest_size=16)

    def roll(self, *site: object) -> float:
        """Return a number in [0, 1) for a site."""
        return int.from_bytes(self._digest(site)[:6]) / (1 << 48)

    def pick(self, options: Sequence[T], *site: object) -> T:
        """Return one of these options for a site."""
        return options[int(self.roll(*site) * len(options))]

    def happens(self, chance: float, *site: object) -> bool:
        """Return whether an event of this probability happens at a site."""
        return self.roll(*site) < chance

    def uuid(self, *site: object) -> UUID:
        """Return an id that looks random."""
        return UUID(bytes=self._digest(site), version=4)

    def _digest(self, site: Sequence[object]) -> bytes:
        state = self._state.copy()
        state.update("|".join(map(str, site)).encode())
        return state.digest()
