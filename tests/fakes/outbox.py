"""An outbox and a publisher in memory (see `orders.outbox`)."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kernel.order_record import Message
from orders.outbox import Key, OutboxItem


class FakeOutbox:
    """The outboxes of items, by their key; ``broken`` is raised by the next removals."""

    def __init__(self, **items: Mapping[str, Message]) -> None:
        self.items: dict[Key, dict[str, Message]] = {
            (name, "order"): dict(messages) for name, messages in items.items()
        }
        self.broken: deque[Exception] = deque()

    def added_by(self, record: Mapping[str, Any]) -> OutboxItem | None:
        item: OutboxItem | None = record["dynamodb"].get("item")
        return item

    def overdue(self, before: float, limit: int) -> list[OutboxItem]:
        return self.pending[:limit]

    def remove(self, item: OutboxItem, ids: Sequence[str]) -> None:
        if self.broken:
            raise self.broken.popleft()
        for name in ids:
            self.items[item.key].pop(name, None)

    @property
    def pending(self) -> list[OutboxItem]:
        return [OutboxItem(key, dict(messages)) for key, messages in self.items.items() if messages]

    @property
    def remaining(self) -> list[str]:
        return [f"{key[0]}/{name}" for key, items in self.items.items() for name in items]


Answer = Callable[[Sequence[Message]], list[str | None]]


class FakePublisher:
    """A publisher that gives these answers first, and then accepts every request."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = deque(answers)
        self.requests: list[list[Message]] = []

    def put(self, messages: Sequence[Message]) -> list[str | None]:
        self.requests.append(list(messages))
        return self.answers.popleft()(messages) if self.answers else [None] * len(messages)


def throttled(messages: Sequence[Message]) -> list[str | None]:
    """Refuse all entries of a request."""
    return ["ThrottlingException: slow down"] * len(messages)


def refusing(*places: int) -> Answer:
    """Refuse these entries of a request, and take the others."""
    return lambda messages: [
        "InternalFailure: of the test" if place in places else None
        for place in range(len(messages))
    ]
