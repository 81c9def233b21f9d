"""Capacity units of requests to DynamoDB, by the rules of its documentation.

Sizes: DynamoDB item sizes and formats. Units: Read and write capacity, on-demand.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from tests.integration.dynamo_stores import OneAtATime


@dataclass(frozen=True, slots=True)
class Cost:
    """One request: its items' largest size in bytes, and its units."""

    request: str
    size: int
    writes: float = 0.0
    index_writes: float = 0.0
    reads: float = 0.0


class Meter:
    """A client that says what each request costs."""

    def __init__(self, client: OneAtATime) -> None:
        self.client = client
        self.costs: list[Cost] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def get_item(self, **arguments: Any) -> Any:
        answer = self.client.get_item(**arguments)
        found = size(answer.get("Item", {}))
        units = max(1, ceil(found / 4096)) * (1 if arguments.get("ConsistentRead") else 0.5)
        self.costs.append(Cost("GetItem", found, reads=units))
        return answer

    def update_item(self, **arguments: Any) -> Any:
        before = self._standing(arguments)
        answer = self.client.update_item(**arguments)
        self.costs.append(self._written("UpdateItem", before, [arguments], 1))
        return answer

    def delete_item(self, **arguments: Any) -> Any:
        before = self._standing(arguments)
        answer = self.client.delete_item(**arguments)
        self.costs.append(self._written("DeleteItem", before, [arguments], 1))
        return answer

    def transact_write_items(self, **arguments: Any) -> Any:
        updates = [one["Update"] for one in arguments["TransactItems"]]
        before = [item for update in updates for item in self._standing(update)]
        answer = self.client.transact_write_items(**arguments)
        name = f"TransactWriteItems of {len(updates)}"
        self.costs.append(self._written(name, before, updates, 2))
        return answer

    def take(self) -> list[Cost]:
        """Return what was counted since this was last asked for."""
        found, self.costs = self.costs, []
        return found

    def _standing(self, arguments: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        asked = {name: arguments[name] for name in ("TableName", "Key")}
        return [self.client.client.get_item(**asked).get("Item", {})]

    def _written(
        self,
        request: str,
        before: Iterable[Mapping[str, Any]],
        updates: Iterable[Mapping[str, Any]],
        factor: int,
    ) -> Cost:
        after = [item for update in updates for item in self._standing(update)]
        pairs = list(zip(before, after, strict=True))
        largest = [max(size(old), size(new)) for old, new in pairs]
        writes = factor * sum(max(1, ceil(one / 1024)) for one in largest)
        index = sum(_index_writes(old, new) for old, new in pairs)
        return Cost(request, max(largest), writes, index)


def size(item: Mapping[str, Any]) -> int:
    """Return an item's size in bytes."""
    return sum(len(name.encode()) + _size(value) for name, value in item.items())


def _size(attribute: Mapping[str, Any]) -> int:
    [(kind, value)] = attribute.items()
    if kind == "N":
        digits = str(value).lstrip("-").replace(".", "").strip("0") or "0"
        return ceil(len(digits) / 2) + 1 + str(value).startswith("-")
    if kind in ("M", "L"):
        inner = value.items() if kind == "M" else (("", one) for one in value)
        return 3 + sum(1 + len(name.encode()) + _size(one) for name, one in inner)
    if kind == "S":
        return len(value.encode())
    return len(value) if kind == "B" else 1


def _index_writes(before: Mapping[str, Any], after: Mapping[str, Any]) -> int:
    """Return the units of the index, whose entries have keys alone and fit into one each."""
    return sum(_moved(before, after, names) for names in (("gpk", "gsk"), ("dp", "due")))


def _moved(before: Mapping[str, Any], after: Mapping[str, Any], names: tuple[str, str]) -> int:
    old, new = (tuple(str(item.get(name)) for name in names) for item in (before, after))
    return 0 if old == new else (names[0] in before) + (names[0] in after)
