"""Orders' records in memory, and a concurrent writer between a read and its write."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kernel.errors import OrderNotFound, VersionConflict
from kernel.events import Event
from kernel.order_record import Change, Entry, Line, Message, OrderRecord
from kernel.order_status import Status
from tests.fakes.events import read

NOW = 1_770_000_000.0
RUN = "run-1"
EPOCH = 1

Action = Callable[[], object]


def order(**fields: Any) -> OrderRecord:
    """Return an order that `RUN` has just claimed, except for these fields."""
    record = OrderRecord(
        order_id="A-1",
        customer_id="C-42",
        currency="EUR",
        total=3700,
        items=(Line("TEA", 2, 1250), Line("CUP", 1, 1200)),
        placed_at="2026-01-31T12:00:00Z",
        content_hash="hash",
        event_id="event-1",
        correlation_id="request-1",
        created_at=NOW - 60,
        updated_at=NOW - 60,
        epoch=EPOCH,
        version=1,
        lease_owner=RUN,
        lease_until=NOW + 300,
        payment_token="tok_visa",
    )
    return record._replace(**fields)


def waiting(**fields: Any) -> OrderRecord:
    """Return an order that waits without a lease, to be resumed in five minutes."""
    rest: dict[str, Any] = {"lease_owner": None, "lease_until": 0.0, "resume_at": NOW + 300}
    return order(**{"status": Status.WAITING, "attempts": 1, **rest, **fields})


class FakeRecords:
    """Records, timelines and the outbox (see `kernel.order_record.Records`)."""

    def __init__(self, *records: OrderRecord) -> None:
        self.records = {record.order_id: record for record in records}
        self.timeline: list[tuple[str, Entry]] = []
        self.outbox: list[Message] = []
        self.writes = 0
        self._others: deque[Action] = deque()

    def before_next_write(self, *others: Action) -> None:
        """Run other steps directly before the next writes, one before each."""
        self._others.extend(others)

    def touch(self, **fields: Any) -> None:
        """Change the only order as a concurrent writer."""
        [record] = self.records.values()
        self.records[record.order_id] = record._replace(version=record.version + 1, **fields)

    def find(self, order_id: str) -> OrderRecord | None:
        return self.records.get(order_id)

    def read(self, order_id: str) -> OrderRecord:
        if order_id not in self.records:
            raise OrderNotFound(order_id)
        return self.records[order_id]

    def save(self, change: Change) -> OrderRecord:
        self.check(change)
        return self.write(change)

    def write(self, change: Change) -> OrderRecord:
        """Write a change that was checked."""
        self.records[change.before.order_id] = change.after
        self.timeline += [(change.before.order_id, entry) for entry in change.entries]
        self.outbox += change.messages
        self.writes += 1
        return change.after

    def note(self, order_id: str, entry: Entry) -> None:
        self.timeline.append((order_id, entry))

    def send(self, message: Message, at: float) -> None:
        self.send_all((message,), at)

    def send_all(self, messages: Sequence[Message], at: float) -> None:
        assert NOW <= at < NOW + 1
        self.outbox += messages

    def check(self, change: Change) -> None:
        """Raise `VersionConflict` if the record has changed since it was read."""
        if self._others:
            self._others.popleft()()
        known = self.records.get(change.before.order_id)
        if (known.version if known else 0) != change.before.version:
            raise VersionConflict(change.before.order_id)

    @property
    def only(self) -> OrderRecord:
        """The only order."""
        [record] = self.records.values()
        return record

    @property
    def happened(self) -> list[str]:
        """The names of the timeline entries."""
        return [entry.what for _, entry in self.timeline]

    @property
    def events(self) -> list[Event[Any]]:
        """The events in the outbox; each is valid."""
        return [read(message.body) for message in self.outbox if message.kind == "event"]

    @property
    def runs(self) -> list[Mapping[str, Any]]:
        """The runs in the outbox."""
        return [message.body for message in self.outbox if message.kind == "run"]
