"""Check of an export's lines against the invariants of ``docs/reliability.md``."""

from typing import Any

from infra.audit.findings import Finding, Findings
from infra.audit.rules import StockBook, check_order
from infra.moving.lines import Row, to_record


class Invariants:
    """The check of a sequence of lines, which finds the first broken invariant."""

    def __init__(self) -> None:
        self._findings = Findings()
        self._stock: dict[str, Row] = {}
        self._by_orders = StockBook()
        self._received = 0

    def add(self, row: Row) -> None:
        """Check a line, and add it to the sums."""
        if row["kind"] == "stock":
            self._stock[row["sku"]] = row
        elif row["kind"] == "receipt":
            self._received += row["units"]
        elif row["kind"] == "order":
            record: Any = to_record(row["record"])
            self._findings.add(check_order(record, row["charge"], row["shipment"]))
            self._by_orders.add(record)

    def broken(self) -> Finding | None:
        """Return the first finding, or None."""
        if not self._findings.first:
            self._findings.add(self._by_orders.check(self._stock.values(), self._received))
        return next(iter(self._findings.first), None)
