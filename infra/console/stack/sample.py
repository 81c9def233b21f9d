"""The dead letters that SQS has handed out at the last look.

A look hides dead letters from others for a moment and raises their receive counts. So a page never
looks by itself: a person does, and the pages show the last look.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from threading import Lock

from infra.views.dead_letter import DeadLetter
from infra.views.letter_groups import LetterFact


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the queues: the dead letters, the newest first, and when.

    ``omitted`` counts those that were seen and not kept.
    """

    at: float
    letters: Sequence[DeadLetter]
    omitted: int = 0

    @classmethod
    def of(cls, letters: Iterable[DeadLetter], at: float) -> "Look":
        """Return the look at these dead letters."""
        return cls(at, sorted(letters, key=_newness, reverse=True))

    def facts(self) -> list[LetterFact]:
        """Return the dead letters without their bodies."""
        return [LetterFact.of(letter, str(letter.id)) for letter in self.letters]

    def find(self, number: str) -> DeadLetter | None:
        """Return a dead letter by its id."""
        return next((letter for letter in self.letters if str(letter.id) == number), None)

    def of_order(self, order_id: str) -> list[DeadLetter]:
        """Return the dead letters that are about an order."""
        return [letter for letter in self.letters if letter.order_id == order_id]

    def without(self, numbers: Iterable[str]) -> "Look":
        """Return the look without some dead letters."""
        gone = set(numbers)
        return replace(self, letters=[each for each in self.letters if str(each.id) not in gone])


def _newness(letter: DeadLetter) -> tuple[str, str]:
    return letter.since, str(letter.id)


class LastLook(ABC):
    """The last look at a stack's dead letters; any thread may use it."""

    @property
    @abstractmethod
    def look(self) -> Look | None:
        """The last look; None before the first."""

    @abstractmethod
    def keep(self, letters: Iterable[DeadLetter], at: float) -> None:
        """Keep the dead letters of a new look."""

    @abstractmethod
    def forget(self, numbers: Iterable[str]) -> None:
        """Remove dead letters that have left their queues or have changed."""

    @abstractmethod
    def renew(self) -> None:
        """Read the look of another process at the next use."""

    def find(self, number: str) -> DeadLetter | None:
        """Return a dead letter of the last look."""
        look = self.look
        return look.find(number) if look else None

    def of_order(self, order_id: str) -> list[DeadLetter]:
        """Return the dead letters of the last look that are about an order."""
        look = self.look
        return look.of_order(order_id) if look else []


class Sample(LastLook):
    """The last look, in the memory of this process."""

    def __init__(self) -> None:
        self._look: Look | None = None
        self._lock = Lock()

    @property
    def look(self) -> Look | None:
        """The last look; None before the first."""
        return self._look

    def keep(self, letters: Iterable[DeadLetter], at: float) -> None:
        """Keep the dead letters of a new look."""
        look = Look.of(letters, at)
        with self._lock:
            self._look = look

    def forget(self, numbers: Iterable[str]) -> None:
        """Remove dead letters that have left their queues or have changed."""
        with self._lock:
            if self._look is not None:
                self._look = self._look.without(numbers)

    def renew(self) -> None:
        """Read nothing: no other process shares this look."""
