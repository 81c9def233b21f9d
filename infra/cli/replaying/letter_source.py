"""Open dead letters as the source of a replay: their events, by reason."""

from collections.abc import Iterator, Sequence
from hashlib import sha256

from infra.cli.event_files import Line, read_event
from infra.cli.replaying.file_source import Item
from infra.dead_letters.edit import NothingToEdit, event_in
from infra.views.dead_letter import DeadLetter
from kernel.json_text import write


class LetterSource:
    """The events of dead letters, the oldest letter first; a letter without one has none."""

    name = "dead-letters"

    def __init__(self, letters: Sequence[DeadLetter]) -> None:
        self.letters = letters

    def described(self) -> str:
        """Return the source in words."""
        return f"{len(self.letters)} dead letters"

    def digest(self) -> str | None:
        """Return the digest of the letters."""
        digest = sha256()
        for letter in self.letters:
            digest.update(f"{letter.id}\0{event_text(letter)}\0".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def fraction(self) -> float | None:
        """Return None: letters are few."""
        return None

    def items(self, skip: int = 0) -> Iterator[Item]:
        """Yield each letter with its event, from the one after the first ``skip`` letters."""
        for number, letter in enumerate(self.letters, 1):
            if number > skip:
                text = event_text(letter)
                line = _line(letter, text)
                yield Item(number, [] if text is None else [line])


def selected(
    letters: Sequence[DeadLetter], reason: str | None, queue: str | None
) -> list[DeadLetter]:
    """Return the letters of a queue whose reason has a text, in any case."""
    wanted = (reason or "").casefold()
    return [
        letter
        for letter in letters
        if wanted in letter.reason.casefold() and queue in (None, letter.queue)
    ]


def event_text(letter: DeadLetter) -> str | None:
    """Return the JSON text of a letter's event, or None if it has none."""
    try:
        event = event_in(letter.to_json())
    except NothingToEdit:
        return None
    return event if isinstance(event, str) else write(event).decode()


def _line(letter: DeadLetter, text: str | None) -> Line:
    number = letter.id if isinstance(letter.id, int) else 0
    return read_event(f"dead letter {letter.id}", number, text or "")
