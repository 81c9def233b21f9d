"""The changes between two schemas of an event, and whether they break its users.

Three parties rely on a contract. For senders, and for the archive, whose events of the same major
version are replayed, valid events must stay valid. For consumers, events that the platform sends
must be valid under the contract they know. So a narrower contract breaks any event; a wider one
breaks the events that only the platform sends; a removed field breaks both.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from infra.contracts.nodes import Node, walk
from kernel.events import REQUESTS

_LOWER = {"minLength": "minimum length", "minItems": "minimum number of entries"}
_UPPER = {"maxLength": "maximum length", "maxItems": "maximum number of entries"}
_BOUNDS = {
    "minimum": ("minimum", "exclusiveMinimum"),
    "maximum": ("maximum", "exclusiveMaximum"),
}
_VALUES = ("enum", "const")
_KNOWN = {*_LOWER, *_UPPER, *_VALUES, *(key for pair in _BOUNDS.values() for key in pair)}

Bound = tuple[float, bool]


class Effect(StrEnum):
    """The effect of a change on the set of valid events."""

    NARROWER = "narrower"
    WIDER = "wider"
    BOTH = "both"
    HARMLESS = "harmless"


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one field."""

    field: str
    what: str
    effect: Effect

    def __str__(self) -> str:
        return f"{self.field} {self.what}"

    def breaks(self, name: str) -> bool:
        """Return whether the change breaks users of the event of this name."""
        if name in REQUESTS:
            return self.effect in (Effect.NARROWER, Effect.BOTH)
        return self.effect is not Effect.HARMLESS


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Return the changes between two schemas, except descriptions and examples."""
    before = {node.path: node for node in walk(old)}
    after = {node.path: node for node in walk(new)}
    changes: list[Change] = []
    for path, node in before.items():
        if path in after:
            changes += _changes(node, after[path])
        elif node.parent in after:  # otherwise the removed container is reported
            changes.append(Change(path, "is removed", Effect.BOTH))
    for path, node in after.items():
        if path not in before and node.parent in before and not path.endswith("[]"):
            what = "is new and required" if node.required else "is new"
            effect = Effect.NARROWER if node.required else Effect.HARMLESS
            changes.append(Change(path, what, effect))
    return changes


def _changes(old: Node, new: Node) -> Iterator[Change]:
    name = old.path or "the event"
    if old.required != new.required:
        if new.required:
            yield Change(name, "became required", Effect.NARROWER)
        else:
            yield Change(name, "became optional", Effect.WIDER)
    narrower = not _covers(new.types, old.types)
    wider = not _covers(old.types, new.types)
    if narrower or wider:
        what = f"changed its type from {_listed(old.types)} to {_listed(new.types)}"
        yield Change(name, what, _effect(narrower=narrower, wider=wider))
    for difference in (_values(old, new), *_limits(old, new), *_others(old, new)):
        if difference:
            yield Change(name, *difference)


Difference = tuple[str, Effect]


def _values(old: Node, new: Node) -> Difference | None:
    before, after = _allowed(old), _allowed(new)
    if before == after:
        return None
    if after is None:
        return "is no longer limited to a list of values", Effect.WIDER
    if before is None:
        return f"is now limited to {_listed(after)}", Effect.NARROWER
    removed, added = before - after, after - before
    parts = [f"no longer takes {_listed(removed)}"] if removed else []
    parts += [f"now takes {_listed(added)}"] if added else []
    return " and ".join(parts), _effect(narrower=bool(removed), wider=bool(added))


def _limits(old: Node, new: Node) -> Iterator[Difference | None]:
    for name, keys in _BOUNDS.items():
        yield _moved(name, _bound(old, *keys), _bound(new, *keys), upper=name == "maximum")
    for limits, upper in ((_LOWER, False), (_UPPER, True)):
        for key, name in limits.items():
            yield _moved(name, _bound(old, key), _bound(new, key), upper=upper)


def _moved(name: str, old: Bound | None, new: Bound | None, *, upper: bool) -> Difference | None:
    if old == new:
        return None
    if new is None:
        return f"lost its {name}", Effect.WIDER
    if old is None:
        return f"got a {name} of {_shown(new)}", Effect.NARROWER
    tighter = (new[0], not new[1]) < (old[0], not old[1]) if upper else new > old
    what = f"changed its {name} from {_shown(old)} to {_shown(new)}"
    return what, Effect.NARROWER if tighter else Effect.WIDER


def _others(old: Node, new: Node) -> Iterator[Difference | None]:
    for key in sorted((old.rules.keys() | new.rules.keys()) - _KNOWN):
        before, after = old.rules.get(key), new.rules.get(key)
        if before == after:
            continue
        if before is None:
            yield f"got a {key}, {after}", Effect.NARROWER
        elif after is None:
            yield f"lost its {key}, {before}", Effect.WIDER
        else:
            yield f"changed its {key} from {before} to {after}", Effect.BOTH


def _covers(wide: frozenset[str], narrow: frozenset[str]) -> bool:
    """Return whether the wide types include every value of the narrow types."""
    covered = wide | {"integer"} if "number" in wide else wide
    return not wide or (bool(narrow) and narrow <= covered)


def _allowed(node: Node) -> frozenset[str] | None:
    if "const" in node.rules:
        return frozenset([str(node.rules["const"])])
    return frozenset(map(str, node.rules["enum"])) if "enum" in node.rules else None


def _bound(node: Node, key: str, exclusive: str = "") -> Bound | None:
    if exclusive in node.rules:
        return node.rules[exclusive], True
    return (node.rules[key], False) if key in node.rules else None


def _shown(bound: Bound) -> str:
    return f"{bound[0]:,}{' (excluded)' if bound[1] else ''}"


def _effect(*, narrower: bool, wider: bool) -> Effect:
    if narrower and wider:
        return Effect.BOTH
    return Effect.NARROWER if narrower else Effect.WIDER


def _listed(values: frozenset[str]) -> str:
    return ", ".join(sorted(values)) or "anything"
