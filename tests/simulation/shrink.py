"""The shortest trace of a failing seed: actions and faults that it does not need are removed."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from infra.local.workers.account import Limits
from tests.simulation.plan import plan
from tests.simulation.world import Mutate, Part, SeedResult, World, unchanged

T = TypeVar("T")

ATTEMPTS = 250
"""Maximum number of simulations."""


def shrink(
    result: SeedResult, mutate: Mutate = unchanged, limits: Limits | None = None
) -> tuple[Part, SeedResult]:
    """Return the smallest part found that breaks the same promise, and its result."""
    return _Shrinker(result, mutate, limits).run()


class _Shrinker:
    def __init__(self, result: SeedResult, mutate: Mutate, limits: Limits | None) -> None:
        self.seed, self.rule = result.seed, result.rule
        self.mutate, self.limits = mutate, limits
        self.actions = list(range(len(plan(result.seed))))
        self.faults = sorted(set(result.fired))
        self.best = Part(), result
        self.attempts = ATTEMPTS

    def run(self) -> tuple[Part, SeedResult]:
        """Remove faults, orders and single actions until no further removal is possible."""
        size = None
        while size != (size := (len(self.actions), len(self.faults))) and self.attempts > 0:
            self.faults = smaller(self.faults, lambda some: self._fails(self.actions, some))
            self._remove_orders()
            self.actions = smaller(self.actions, lambda some: self._fails(some, self.faults))
            self.faults = [fault for fault in self.faults if fault in self.best[1].fired]
        return self.best

    def _remove_orders(self) -> None:
        orders = {number: action.order_id for number, action in enumerate(plan(self.seed))}
        for order_id in sorted({orders[number] for number in self.actions}):
            others = [number for number in self.actions if orders[number] != order_id]
            if self._fails(others, self.faults):
                self.actions = others

    def _fails(self, actions: Sequence[int], faults: Sequence[str]) -> bool:
        """Return whether this part of the seed breaks the same promise."""
        self.attempts -= 1
        if self.attempts < 0:
            return False
        part = Part(frozenset(actions), frozenset(faults))
        result = World(self.seed, part, mutate=self.mutate, limits=self.limits).play()
        if result.rule != self.rule:
            return False
        self.best = part, result
        return True


def smaller(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """Return a subset of the items that still fails: remove ever smaller slices of them."""
    remaining = list(items)
    size = len(remaining)
    while size:
        start = 0
        while start < len(remaining):
            some = remaining[:start] + remaining[start + size :]
            if fails(some):
                remaining = some
            else:
                start += size
        size //= 2
    return remaining
