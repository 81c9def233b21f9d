"""Orders in SQLite, and what is looked up among them."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from shared.record import OrderRecord
from shared.sqlite import RECORD, SQLiteRecords, to_record


class SQLiteOrders(SQLiteRecords):
    """The orders' store (see `orders.usecases.OrderStore`)."""

    def by_customer(self, customer_id: str, limit: int, after: str | None) -> list[OrderRecord]:
        """Return a customer's orders, newest first, from behind the order ``after`` on."""
        start = self.find(after) if after else None
        created = start.created_at if start else 1e18
        rows = self.database.rows(
            f"select {RECORD} from orders where customer_id = ? and (created_at, order_id) < (?, ?)"
            " order by created_at desc, order_id desc limit ?",
            customer_id,
            created,
            start.order_id if start else "",
            limit,
        )
        return [to_record(row) for row in rows]

    def stranded(self, now: float, grace: float, limit: int) -> list[OrderRecord]:
        """Return orders that have not ended and that no run or timer will come back to."""
        rows = self.database.rows(
            f"select {RECORD} from orders where in_flight = 1 and lease_until < ?"
            " and max(resume_at, iif(lease_owner is null, updated_at, 0)) < ?"
            " order by updated_at limit ?",
            now,
            now - grace,
            limit,
        )
        return [to_record(row) for row in rows]

    def unheard(self, since: float, before: float) -> Iterator[Mapping[str, Any]]:
        """Return `Order Created` envelopes that the sink has and that opened no order.

        On one machine the sink is the bus's own journal, through the view ``sink``.
        """
        if self.database.row("select 1 from sqlite_master where name = 'sink'") is None:
            return
        rows = self.database.connection.execute(
            "select envelope from sink where detail_type = 'Order Created'"
            " and arrived_at > ? and arrived_at < ? and not exists"
            " (select 1 from orders where order_id = sink.order_id) order by arrived_at",
            (since, before),
        )
        for row in rows:
            yield json.loads(row["envelope"])
