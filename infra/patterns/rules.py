"""Rules of a pattern: conditions that must hold together, as a tree of their fields.

Conditions hold together if their values are in the same element of each list that they share
("JSON Array Matching", README of aws/event-ruler). The tree decides each list separately: one of
its elements must meet all conditions on that list, and fields of different lists are independent.
So a rule walks an event once, regardless of its lists.

Absence depends on the order of names, as in event-ruler (ACFinder.java): conditions apply in the
order of their dotted names, and a field is absent if it has no value in the list elements that met
the earlier conditions.
"""

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, TypeAlias

from infra.patterns.operators import Condition
from infra.patterns.overlaps import Values, can_hold

_Present: TypeAlias = dict[tuple[int, int], int]
"""Conditions whose fields have a value: a bit mask by field and by object or list."""


class Rule:
    """Conditions by dotted field name, all of which must hold."""

    def __init__(self, conditions: Mapping[str, Condition]) -> None:
        self.conditions = conditions
        self._top_level = [item for item in conditions.items() if "." not in item[0]]
        self._event = _Field("")
        for index, name in enumerate(sorted(conditions)):
            self._event.add(name, conditions[name], 1 << index)

    def matches(self, event: dict[str, Any]) -> bool:
        """Return whether the event, parsed from JSON, meets all conditions.

        Raises
        ------
        TooComplexEvent
            Keys of the event overlap in too many ways to search.
        """
        return not self._is_ruled_out(event) and self._event.is_met_in(event, {})

    def _is_ruled_out(self, event: dict[str, Any]) -> bool:
        """Return whether a top-level text field, such as ``source``, fails its condition.

        Most events miss most rules this way, so nested fields need not be read.
        """
        for name, condition in self._top_level:
            value = event.get(name)
            if isinstance(value, str) and not condition.accepts(value):
                return True
        return False


class _Field:
    """A field with a condition, or with such fields below it.

    Conditions are bits, in the order of their names: ``own`` is the condition on this field,
    ``mask`` has all conditions at it and below, ``needed`` those that absence does not meet.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.condition: Condition | None = None
        self.own = 0
        self.mask = 0
        self.needed = 0
        self.below: dict[str, _Field] = {}

    def add(self, name: str, condition: Condition, bit: int) -> None:
        """Add a condition on a field below; its dotted name is relative to this field."""
        field = self
        for key in name.split("."):
            field.count(condition, bit)
            full = f"{field.name}.{key}" if field.name else key
            field = field.below.setdefault(key, _Field(full))
        field.count(condition, bit)
        field.condition, field.own = condition, bit

    def count(self, condition: Condition, bit: int) -> None:
        self.mask |= bit
        if not condition.may_be_absent:
            self.needed |= bit

    def way(self, key: str) -> list["_Field"]:
        """Return the fields along a key of an object, or an empty list.

        The key "a.b" is equivalent to "b" within "a".
        """
        field = self.below.get(key)
        if field is not None:
            return [field]
        way: list[_Field] = []
        if "." in key:
            field = self
            for part in key.split("."):
                field = field.below.get(part)
                if field is None:
                    return []
                way.append(field)
        return way

    def is_met_in(self, value: Any, present: _Present) -> bool:
        """Return whether all conditions at this field and below hold in its value."""
        if isinstance(value, dict):
            return not self.own & self.needed and self._is_met_in_object(value, present)
        if isinstance(value, list):
            return self._is_met_in_list(value, present)
        accepted = self.condition is None or self.condition.accepts(value)
        return accepted and not self.needed & ~self.own

    def _is_met_in_object(self, value: dict[str, Any], present: _Present) -> bool:
        if "." in "".join(value):
            ways = [(way, value[key]) for key in value if (way := self.way(key))]
            if any(len(way) > 1 for way, _ in ways):
                return self._is_met_by_ways(ways, present)
        for key, field in self.below.items():
            if key in value:
                if not field.is_met_in(value[key], present):
                    return False
            elif field.needed:
                return False
        return True

    def _is_met_by_ways(self, ways: list[tuple[list["_Field"], Any]], present: _Present) -> bool:
        """Return whether keys, some of them dotted, meet the fields below."""
        ends = {way[-1]: value for way, value in ways}
        passed = {field for way, _ in ways for field in way[:-1]}
        todo = list(self.below.values())
        while todo:
            field = todo.pop()
            if field in ends and field in passed:  # several keys lead to one field
                if not can_hold(field.name, *field.searched(ends)):
                    return False
            elif field in ends:
                if not field.is_met_in(ends[field], present):
                    return False
            elif field in passed and not field.own & field.needed:
                todo += field.below.values()
            elif field.needed:
                return False
        return True

    def _is_met_in_list(self, outermost: list[Any], present: _Present) -> bool:
        """Return whether a list, or a list directly within it, meets all conditions here and below.

        Each list in ``todo`` has a flag: whether the field's own condition is still to be met.
        """
        todo: list[tuple[list[Any], bool]] = [(outermost, bool(self.own))]
        tried: set[tuple[int, bool]] = set()
        while todo:
            elements, own = todo.pop()
            if (id(elements), own) in tried:
                continue
            tried.add((id(elements), own))
            nested = [element for element in elements if isinstance(element, (dict, list))]
            if own:
                lists = [element for element in nested if isinstance(element, list)]
                todo += [(inner, True) for inner in self._that_have(self.own, lists, present)]
                if not self._own_is_met(elements, nested, present):
                    continue
            deeper = self._elements_for(self.mask & ~self.own, nested, present)
            if deeper is None:
                return True
            for element in deeper:
                if isinstance(element, list):
                    todo.append((element, False))
                elif (id(element), False) not in tried:
                    tried.add((id(element), False))
                    if self._is_met_in_object(element, present):
                        return True
        return False

    def _own_is_met(self, elements: list[Any], nested: list[Any], present: _Present) -> bool:
        """Return whether plain values of a list, or absence, meet the field's own condition."""
        assert self.condition is not None
        if len(nested) < len(elements):
            accepts = self.condition.accepts
            return any(accepts(value) for value in elements if not isinstance(value, (dict, list)))
        return self.condition.may_be_absent and not any(
            self.present_in(element, present) & self.own for element in nested
        )

    def _elements_for(self, wanted: int, nested: list[Any], present: _Present) -> list[Any] | None:
        """Return the elements of a list that may meet all wanted conditions.

        None means that no element has to meet them. The first condition whose field has a value
        in the list selects the elements with such a value. For the conditions before it, the
        field is absent from the list.
        """
        if not wanted & ~self.needed:
            return nested if wanted else None
        present_bits = 0
        for element in nested:
            present_bits |= self.present_in(element, present) & wanted
        first = present_bits & -present_bits
        before = wanted & (first - 1) if first else wanted
        if before & self.needed:
            return []
        return self._that_have(first, nested, present) if first else None

    def _that_have(self, bit: int, nested: list[Any], present: _Present) -> list[Any]:
        """Return the elements where the condition's field has a value; all if none is optional."""
        if not self.mask & ~self.needed:
            return nested
        return [element for element in nested if self.present_in(element, present) & bit]

    def present_in(self, value: Any, present: _Present) -> int:
        """Return the conditions at this field and below whose fields have a value in ``value``."""
        if isinstance(value, list) and (id(self), id(value)) not in present:
            for inner in reversed(_lists_in(value)):  # the innermost first
                mask = 0
                for element in inner:
                    mask |= self._present_in(element, present)
                present[id(self), id(inner)] = mask
        return self._present_in(value, present)

    def _present_in(self, value: Any, present: _Present) -> int:
        if not isinstance(value, (dict, list)):
            return self.own
        mask = present.get((id(self), id(value)))
        if mask is None:
            mask = 0
            for key in value:
                way = self.way(key)
                if way:
                    mask |= way[-1].present_in(value[key], present)
            present[id(self), id(value)] = mask
        return mask

    def searched(self, ends: Mapping["_Field", Any]) -> tuple[list[Condition], list[Values]]:
        """Return the conditions at this field and below, and each one's values with places."""
        by_bit: dict[int, Values] = {}
        arrays = count()
        for field, value in ends.items():
            if field.mask & self.mask == field.mask:
                field.collect(value, by_bit, arrays)
        conditions = sorted(self.conditions())
        values = [by_bit.get(bit, []) for bit, _ in conditions]
        return [condition for _, condition in conditions], values

    def conditions(self) -> Iterator[tuple[int, Condition]]:
        if self.condition is not None:
            yield self.own, self.condition
        for field in self.below.values():
            yield from field.conditions()

    def collect(self, value: Any, by_bit: dict[int, Values], arrays: Iterator[int]) -> None:
        todo: list[Any] = [(self, value, None)]
        while todo:
            field, node, place = todo.pop()
            if isinstance(node, dict):
                ways = ((field.way(key), inner) for key, inner in node.items())
                todo += [(way[-1], inner, place) for way, inner in ways if way]
            elif isinstance(node, list):
                array = next(arrays)
                for index, inner in enumerate(node):
                    nested = isinstance(inner, (dict, list))
                    todo.append((field, inner, (place, array, index) if nested else place))
            elif field.own:
                by_bit.setdefault(field.own, []).append((node, place))


def _lists_in(value: list[Any]) -> list[list[Any]]:
    """Return a list and its directly nested lists, an outer list before its inner lists."""
    lists = [value]
    for outer in lists:
        lists += [inner for inner in outer if isinstance(inner, list)]
    return lists
