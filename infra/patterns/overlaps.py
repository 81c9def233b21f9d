"""Fields that several keys of one object lead to, such as "a.b" and "b" within "a".

Their values may be in independent lists, so finding elements that meet all conditions is a search.
The search is exact. It stops after a number of steps proportional to the values and the
conditions, because all other parts of matching are linear in the size of the event.
"""

from collections.abc import Sequence
from typing import TypeAlias

from infra.patterns.operators import Condition

Place: TypeAlias = tuple["Place", int, int] | None
"""The enclosing place, the number of a list and the index of its element; None outside lists."""

Values: TypeAlias = list[tuple[object, Place]]

_LEAST_STEPS = 200_000
_STEPS = 32
"""Steps allowed per value and condition."""


class TooComplexEvent(ValueError):
    """An event whose keys overlap in too many ways to search."""


def can_hold(name: str, conditions: Sequence[Condition], values: Sequence[Values]) -> bool:
    """Return whether conditions, in their order, hold together; each has its own values.

    Raises
    ------
    TooComplexEvent
        The search takes too many steps; ``name`` is the field that the keys lead to.
    """
    pairs = zip(conditions, values, strict=True)
    accepted = [_accepted(condition, its_values) for condition, its_values in pairs]
    for condition, places in zip(conditions, accepted, strict=True):
        if not condition.may_be_absent and not any(accepts for _, accepts in places):
            return False
    steps = _LEAST_STEPS + _STEPS * len(conditions) * sum(map(len, values))
    may_be_absent = [condition.may_be_absent for condition in conditions]
    return _Search(name, may_be_absent, accepted, steps).holds(0, {})


def _accepted(condition: Condition, values: Values) -> list[tuple[Place, bool]]:
    """Return the places that have a value, and whether the condition accepts a value there."""
    places: dict[int, tuple[Place, bool]] = {}  # by identity: values in one element share the place
    for value, place in values:
        _, accepts = places.get(id(place), (None, False))
        places[id(place)] = (place, accepts or condition.accepts(value))
    return list(places.values())


class _Search:
    """The search for one element of each list.

    Attributes
    ----------
    may_be_absent
        For each condition, whether absence meets it.
    accepted
        For each condition, the places of its values and whether it accepts them.
    steps
        Remaining steps.
    """

    def __init__(
        self,
        name: str,
        may_be_absent: Sequence[bool],
        accepted: Sequence[list[tuple[Place, bool]]],
        steps: int,
    ) -> None:
        self.name = name
        self.may_be_absent = may_be_absent
        self.accepted = accepted
        self.steps = steps

    def holds(self, at: int, chosen: dict[int, int]) -> bool:
        """Return whether the conditions from index ``at`` hold in the chosen list elements."""
        if at == len(self.accepted):
            return True
        absent = True
        for place, accepted in self.accepted[at]:
            merged = self._merged(chosen, place)
            if merged is not None:
                absent = False
                if accepted and self.holds(at + 1, merged):
                    return True
        return absent and self.may_be_absent[at] and self.holds(at + 1, chosen)

    def _merged(self, chosen: dict[int, int], place: Place) -> dict[int, int] | None:
        """Return the chosen elements plus those of a place; None if they contradict."""
        self._step(1)
        new = {}
        while place is not None:
            place, array, index = place
            self._step(1)
            if chosen.get(array, index) != index:
                return None
            new[array] = index
        self._step(len(chosen))
        return {**chosen, **new}

    def _step(self, count: int) -> None:
        self.steps -= count
        if self.steps < 0:
            raise TooComplexEvent(
                f"Event is too complex: several of its keys lead to {self.name}, such as 'a.b' and"
                " 'b' within 'a', with too many combinations of list elements."
                " Send each field under one key."
            )
