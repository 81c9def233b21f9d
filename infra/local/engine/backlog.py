"""When there is something to fetch from the journal, so that nobody looks in vain."""

from collections.abc import Iterable

NEVER = float("inf")


class Backlog:
    """For each key, when its next row in the journal is due.

    What a turn adds can be fetched only once the turn is committed, so it counts from then on.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._due = dict.fromkeys(keys, 0.0)
        self._woken: dict[str, float] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._due

    def is_due(self, key: str, now: float) -> bool:
        """Say whether it is worth looking for rows of this key."""
        return self._due[key] <= now

    def wake(self, key: str, at: float) -> None:
        """Note that this turn adds a row that is due then."""
        self._woken[key] = min(at, self._woken.get(key, NEVER))

    def rest(self, key: str, until: float | None) -> None:
        """Note that there is no row of this key that is due before then."""
        self._due[key] = NEVER if until is None else until

    def committed(self) -> None:
        """Let what the turn added count."""
        for key, at in self._woken.items():
            self._due[key] = min(at, self._due.get(key, NEVER))
        self._woken.clear()

    def next_due(self, keys: Iterable[str] | None = None) -> float:
        """Return when the next row of these keys, or of any, is due."""
        return min((self._due[key] for key in (self._due if keys is None else keys)), default=NEVER)
