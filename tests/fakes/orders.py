"""The orders' store in memory (see `orders.usecases.OrderStore`)."""

from collections.abc import Mapping, Sequence
from typing import Any

from kernel.errors import VersionConflict
from kernel.order_record import Change, Message, OrderRecord
from orders.early_requests import MAX_KEPT, EarlyRequest, RequestedBefore, too_many
from orders.idempotency_key import Key
from tests.fakes.records import FakeRecords


class FakeOrders(FakeRecords):
    """An orders store in memory; a test sets its stranded orders and events without order."""

    def __init__(self, *records: OrderRecord) -> None:
        super().__init__(*records)
        self.lost: list[OrderRecord] = []
        self.silent: list[Mapping[str, Any]] = []
        self.queries: list[tuple[str, float, float, int]] = []
        self.kept: dict[str, list[EarlyRequest]] = {}
        self.waiting: dict[str, set[tuple[float, str]]] = {}

    def open(
        self, change: Change, requests: Sequence[EarlyRequest] = (), key: Key | None = None
    ) -> OrderRecord:
        self.check(change)
        kept = self.kept.get(change.before.order_id, [])
        if set(map(_id, kept)) != set(map(_id, requests)):
            raise RequestedBefore(change.before.order_id, kept)
        self.kept.pop(change.before.order_id, None)
        return self.write(change)

    def keep_request(self, request: EarlyRequest) -> None:
        if self._others:
            self._others.popleft()()
        if request.order_id in self.records:
            raise VersionConflict(request.order_id)
        kept = self.kept.setdefault(request.order_id, [])
        if len(kept) == MAX_KEPT:
            raise too_many(request.order_id)
        if request.request_id not in {one.request_id for one in kept}:
            kept.append(request)

    def expired_requests(self, before: float, limit: int) -> list[list[EarlyRequest]]:
        late = [kept for kept in self.kept.values() if max(one.came_at for one in kept) < before]
        return late[:limit]

    def give_up(
        self, requests: Sequence[EarlyRequest], letters: Sequence[Message], at: float
    ) -> None:
        if self._others:
            self._others.popleft()()
        if self.kept.get(requests[0].order_id) != requests:
            raise VersionConflict(requests[0].order_id)
        del self.kept[requests[0].order_id]
        for message in letters:
            self.send(message, at)

    def save_waiting(self, change: Change, skus: Sequence[str]) -> OrderRecord:
        saved = self.save(change)
        for sku in skus:
            self.waiting.setdefault(sku, set()).add((saved.created_at, saved.order_id))
        return saved

    def waiting_for(self, sku: str, limit: int) -> list[str]:
        return [order_id for _, order_id in sorted(self.waiting.get(sku, ()))][:limit]

    def forget_waiting(self, sku: str, records: Sequence[OrderRecord]) -> None:
        self.waiting[sku] -= {(record.created_at, record.order_id) for record in records}

    def by_customer(self, customer_id: str, limit: int, after: str | None) -> list[OrderRecord]:
        raise NotImplementedError("looked up in a database: see the tests of the stores")

    def is_unconfirmed(self, order_id: str) -> bool:
        noted = {entry.what for one, entry in self.timeline if one == order_id}
        return {"CONFIRMATION_FAILED", "CONFIRMATION_SENT"} & noted == {"CONFIRMATION_FAILED"}

    def stranded(self, now: float, grace: float, limit: int) -> list[OrderRecord]:
        self.queries.append(("stranded", now, grace, limit))
        return self.lost

    def events_without_order(self, since: float, before: float) -> list[Mapping[str, Any]]:
        self.queries.append(("events_without_order", since, before, 0))
        return self.silent


def _id(request: EarlyRequest) -> str:
    return request.request_id
