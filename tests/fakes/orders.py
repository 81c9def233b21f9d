"""The orders' store in memory (see `orders.usecases.OrderStore`)."""

from collections.abc import Mapping
from typing import Any

from shared.record import OrderRecord
from tests.fakes.records import FakeRecords


class FakeOrders(FakeRecords):
    """Finds what it was told is stranded or unheard, and remembers what it was asked."""

    def __init__(self, *records: OrderRecord) -> None:
        super().__init__(*records)
        self.lost: list[OrderRecord] = []
        self.silent: list[Mapping[str, Any]] = []
        self.asked: list[tuple[str, float, float, int]] = []

    def by_customer(self, customer_id: str, limit: int, after: str | None) -> list[OrderRecord]:
        raise NotImplementedError("looked up in a database: see the tests of the stores")

    def stranded(self, now: float, grace: float, limit: int) -> list[OrderRecord]:
        self.asked.append(("stranded", now, grace, limit))
        return self.lost

    def unheard(self, since: float, before: float) -> list[Mapping[str, Any]]:
        self.asked.append(("unheard", since, before, 0))
        return self.silent
