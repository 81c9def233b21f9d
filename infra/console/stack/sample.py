"""The dead letters that SQS has handed out at the last look, in the memory of this process.

Looking hides dead letters from others for a moment and raises their receive counts, so a page never
looks by itself: a person does, and the pages then show what was seen.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from threading import Lock

from infra.views.dead_letter import DeadLetter
from infra.views.letter_groups import LetterFact


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the queues: the dead letters, the newest first, and when."""

    at: float
    letters: Sequence[DeadLetter]

    def facts(self) -> list[LetterFact]:
        """Return the dead letters without their bodies."""
        return [LetterFact.of(letter, str(letter.id)) for letter in self.letters]


class Sample:
    """The last look at a stack's dead letters; any thread may use it."""

    def __init__(self) -> None:
        self._look: Look | None = None
        self._lock = Lock()

    @property
    def look(self) -> Look | None:
        """The last look; None before the first."""
        return self._look

    def keep(self, letters: Iterable[DeadLetter], at: float) -> None:
        """Keep the dead letters of a new look."""
        newest = sorted(letters, key=lambda letter: (letter.since, str(letter.id)), reverse=True)
        with self._lock:
            self._look = Look(at, newest)

    def find(self, number: str) -> DeadLetter | None:
        """Return a dead letter of the last look."""
        look = self._look
        found = (letter for letter in look.letters if str(letter.id) == number) if look else ()
        return next(iter(found), None)

    def of_order(self, order_id: str) -> list[DeadLetter]:
        """Return the dead letters of the last look that are about an order."""
        look = self._look
        return [letter for letter in look.letters if letter.order_id == order_id] if look else []

    def forget(self, numbers: Iterable[str]) -> None:
        """Remove dead letters that have left their queues or have changed."""
        gone = set(numbers)
        with self._lock:
            if self._look is not None:
                kept = [each for each in self._look.letters if str(each.id) not in gone]
                self._look = Look(self._look.at, kept)
