"""The backlog: remembers when each key's next journal row is due, to skip empty queries."""

from collections.abc import Iterable

NEVER = float("inf")


class Backlog:
    """The time at which the next journal row of each key is due.

    A row that a turn adds can be read only after the commit, so `wake` counts from then on.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._due = dict.fromkeys(keys, 0.0)
        self._woken: dict[str, float] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._due

    def add(self, key: str) -> None:
        """Include another key, whose rows may be due."""
        self._due.setdefault(key, 0.0)

    def is_due(self, key: str, now: float) -> bool:
        """Return whether this key may have a due row."""
        return self._due[key] <= now

    def wake(self, key: str, at: float) -> None:
        """Note that this turn adds a row that is due at a time."""
        self._woken[key] = min(at, self._woken.get(key, NEVER))

    def rest(self, key: str, until: float | None) -> None:
        """Note that no row of this key is due before a time; none at all without one."""
        self._due[key] = NEVER if until is None else until

    def committed(self) -> None:
        """Count the rows that the turn added."""
        for key, at in self._woken.items():
            self._due[key] = min(at, self._due.get(key, NEVER))
        self._woken.clear()

    def next_due(self, keys: Iterable[str] | None = None) -> float:
        """Return when the next row of these keys, or of all keys, is due."""
        return min((self._due[key] for key in (self._due if keys is None else keys)), default=NEVER)
