"""A dead letter, as the command line and a console show it, from SQLite or from a stack."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Closing:
    """The end of a dead letter that left its queue: when, why, and its replacement, if any.

    ``state`` is one of `infra.local.engine.dead_letter_rows`.
    """

    state: str
    outcome: str
    closed: str
    replaced_by: int | None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """An operation on a dead letter, or on one that it replaced."""

    letter: int | str
    at: str
    who: str
    what: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that waits for an operator, or that an operator has closed.

    ``source`` is the consumer, target or queue that gave it up.
    """

    id: int | str
    queue: str
    since: str
    reason: str
    order_id: str | None
    source: str | None
    attributes: Mapping[str, str]
    body: Any
    closing: Closing | None = None
    history: Sequence[HistoryEntry] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the dead letter as ``orders dead-letters --json`` prints it."""
        result = {
            "id": self.id,
            "queue": self.queue,
            "since": self.since,
            "reason": self.reason,
            "order_id": self.order_id,
            "from": self.source,
            "attributes": self.attributes,
            "body": self.body,
        }
        if self.closing is not None:
            result |= asdict(self.closing)
        if self.history is not None:
            result["history"] = [asdict(entry) for entry in self.history]
        return result
