"""The shortest story of a seed that fails: what can be left out without saving it is left out."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from tests.simulation.plan import plan
from tests.simulation.world import Mutate, Part, Told, World, unchanged

T = TypeVar("T")

ATTEMPTS = 250
"""Stories that are tried at most."""


def shrink(told: Told, mutate: Mutate = unchanged) -> tuple[Part, Told]:
    """Return the smallest part of a story found that breaks the same promise, and its telling."""
    return _Shrinker(told, mutate).run()


class _Shrinker:
    def __init__(self, told: Told, mutate: Mutate) -> None:
        self.seed, self.rule = told.seed, told.rule
        self.mutate = mutate
        self.actions = list(range(len(plan(told.seed))))
        self.faults = sorted(set(told.fired))
        self.best = Part(), told
        self.attempts = ATTEMPTS

    def run(self) -> tuple[Part, Told]:
        """Leave out faults, whole orders, and single actions, until nothing more can go."""
        size = None
        while size != (size := (len(self.actions), len(self.faults))) and self.attempts > 0:
            self.faults = smaller(self.faults, lambda some: self._fails(self.actions, some))
            self._leave_out_orders()
            self.actions = smaller(self.actions, lambda some: self._fails(some, self.faults))
            self.faults = [one for one in self.faults if one in self.best[1].fired]
        return self.best

    def _leave_out_orders(self) -> None:
        orders = {number: action.order_id for number, action in enumerate(plan(self.seed))}
        for order_id in sorted({orders[number] for number in self.actions}):
            others = [number for number in self.actions if orders[number] != order_id]
            if self._fails(others, self.faults):
                self.actions = others

    def _fails(self, actions: Sequence[int], faults: Sequence[str]) -> bool:
        """Say whether this part of the story breaks the same promise."""
        self.attempts -= 1
        if self.attempts < 0:
            return False
        part = Part(frozenset(actions), frozenset(faults))
        told = World(self.seed, part, mutate=self.mutate).play()
        if told.rule != self.rule:
            return False
        self.best = part, told
        return True


def smaller(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """Return some of these items that still fail: ever smaller runs of them are left out."""
    left = list(items)
    size = len(left)
    while size:
        start = 0
        while start < len(left):
            some = left[:start] + left[start + size :]
            if fails(some):
                left = some
            else:
                start += size
        size //= 2
    return left
