"""The differences between the definition that a run began with and today's."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from infra.views.exact_json import Change, changes, read_exact
from infra.views.workflow import states_in

ADDED, REMOVED, CHANGED = "added", "removed", "changed"
MAX_CHANGES = 20
"""Changed fields of a state that are shown."""


@dataclass(frozen=True, slots=True)
class StateDifference:
    """A state that today's definition has added, removed or changed, with its changed fields."""

    state: str
    kind: str
    changes: tuple[Change, ...] = ()


def differences(run: Mapping[str, Any], run_id: str, today: str) -> list[StateDifference]:
    """Return the differences of today's definition (JSON text) from that of a run, by state."""
    if not run or sha256(today.encode()).hexdigest()[:16] == run_id:
        return []
    before, after = _states(run), _states(json.loads(today))
    found = []
    for name in dict.fromkeys((*before, *after)):
        if name not in after:
            found.append(StateDifference(name, REMOVED))
        elif name not in before:
            found.append(StateDifference(name, ADDED))
        elif before[name] != after[name]:
            pair = (read_exact(json.dumps(each[name])) for each in (before, after))
            found.append(StateDifference(name, CHANGED, tuple(changes(*pair)[:MAX_CHANGES])))
    return found


def _states(definition: Mapping[str, Any]) -> dict[str, Any]:
    return {name: state for name, state, _ in states_in(definition)}
