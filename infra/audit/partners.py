"""Comparison of the ledger and the shipments with the gateway's and the carrier's own records.

A connection has the orders, the ledger and the shipments; ``partners`` is the sandbox's database,
attached to it and read later. So a partner may have more on record of an order in flight, never
less.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from sqlite3 import Connection, Row

from infra.audit.findings import Finding, Invariant
from kernel.money import smallest_units, text
from kernel.order_record import ENDED

UNKNOWN = 1_000
"""Maximum number of orders known only to a partner that are looked up again."""

_CHARGES = """
select o.order_id, o.status, o.created_at, c.charge_id, c.status as ledger, (
    select g.status from partners.gateway_charges g where g.key = c.charge_id
    order by g.id desc limit 1) as gateway
from charges c join orders o on o.order_id = c.order_id
"""

_PAID = """
select g.*, o.status, o.total, o.currency as ordered
from (select order_id, min(key) as key, min(currency) as currency,
        sum(status = 'CHARGED' or status = 'REFUNDED') as times,
        sum(iif(status = 'CHARGED', amount, 0)) as paid
    from partners.gateway_charges where order_id <> '' group by order_id) g
left join orders o on o.order_id = g.order_id
"""

_SHIPMENTS = """
select o.order_id, o.status, o.created_at, s.status as shipment, (
    select p.status from partners.carrier_shipments p where p.shipment_id = s.shipment_id
    ) as carrier
from shipments s join orders o on o.order_id = s.order_id
"""

_CARRIED = """
select p.order_id, p.times, o.status
from (select order_id, count(*) as times from partners.carrier_shipments
    where status = 'CREATED' and order_id <> '' group by order_id) p
left join orders o on o.order_id = p.order_id
"""

_AHEAD = {"CHARGED": {"CHARGED", "REFUNDED"}, "CREATED": {"CREATED", "VOIDED"}}
"""Partner states that are valid for an order in flight, by the state on our side."""


@dataclass(slots=True)
class Partners:
    """The comparison of one place with its partners.

    ``moved`` is the creation time of the newest imported order. An import does not move the
    partners' records, so those of orders up to that time may be missing.
    """

    connection: Connection
    moved: float = 0.0
    unknown: dict[str, Finding] = field(default_factory=dict)

    def check(self) -> Iterator[Finding]:
        """Yield the differences; collect orders known only to a partner in ``unknown``."""
        query = "select name from partners.sqlite_master"
        tables = {row[0] for row in self.connection.execute(query)}
        if "gateway_charges" in tables:
            for row in self.connection.execute(_CHARGES):
                yield from self._charge(row)
            for row in self.connection.execute(_PAID):
                yield from self._paid(row)
        if "carrier_shipments" in tables:
            for row in self.connection.execute(_SHIPMENTS):
                yield from self._shipment(row)
            for row in self.connection.execute(_CARRIED):
                yield from self._carried(row)

    def _charge(self, row: Row) -> Iterator[Finding]:
        ledger, gateway, key = row["ledger"], row["gateway"], row["charge_id"]
        if self._agree(row, ledger, gateway):
            return
        remedy = f"look up charge {key} at the gateway, and correct the ledger or the charge"
        problem = f"the ledger has its charge as {ledger}, and the gateway as {gateway}"
        yield Finding(Invariant.MONEY, _order(row), problem, remedy)

    def _shipment(self, row: Row) -> Iterator[Finding]:
        shipment, carrier = row["shipment"], row["carrier"]
        if self._agree(row, shipment, carrier):
            return
        remedy = "look it up at the carrier, and correct our shipment or the carrier's"
        problem = f"the shipments have it as {shipment}, and the carrier as {carrier}"
        yield Finding(Invariant.SHIPMENT, _order(row), problem, remedy)

    def _agree(self, row: Row, ours: str, theirs: str | None) -> bool:
        if theirs is None and row["created_at"] <= self.moved:
            return True
        if ours == theirs:
            return True
        return row["status"] not in ENDED and (ours == "PENDING" or theirs in _AHEAD.get(ours, ()))

    def _paid(self, row: Row) -> Iterator[Finding]:
        """Compare the amount paid for an order with its total and its status."""
        paid, total, status = row["paid"], row["total"], row["status"]
        remedy = f"refund charge {row['key']} at the gateway"
        if row["times"] > 1:
            problem = f"the gateway charged it {row['times']} times"
            yield Finding(Invariant.MONEY, _order(row), problem, remedy)
        charged = f"{row['currency']} {paid} (in its smallest units)"
        if status is None:
            if paid:
                problem = f"the gateway charged {charged} for it, and the order does not exist"
                self._keep(row["order_id"], Finding(Invariant.MONEY, _order(row), problem, remedy))
        elif status in ENDED and status != "COMPLETED" and paid:
            problem = f"it is {status}, and the gateway charged {charged} for it"
            yield Finding(Invariant.MONEY, _order(row), problem, remedy)
        elif paid and (paid, row["currency"]) != (
            _requested(total, row["ordered"]),
            row["ordered"],
        ):
            problem = f"its total is {row['ordered']} {text(total)}, the gateway charged {charged}"
            yield Finding(Invariant.MONEY, _order(row), problem, remedy)

    def _carried(self, row: Row) -> Iterator[Finding]:
        remedy = "void the shipment at the carrier"
        if row["times"] > 1:
            problem = f"the carrier has {row['times']} shipments of it"
            yield Finding(Invariant.SHIPMENT, _order(row), problem, remedy)
        if row["status"] is None:
            problem = "the carrier has a shipment of it, and the order does not exist"
            self._keep(row["order_id"], Finding(Invariant.SHIPMENT, _order(row), problem, remedy))
        elif row["status"] in ENDED and row["status"] != "COMPLETED":
            problem = f"it is {row['status']}, and the carrier has its shipment"
            yield Finding(Invariant.SHIPMENT, _order(row), problem, remedy)

    def _keep(self, order_id: str, finding: Finding) -> None:
        if len(self.unknown) < UNKNOWN:
            self.unknown.setdefault(order_id, finding)


def _requested(total: int, currency: str) -> int | None:
    """Return the amount of a charge request, or None if the currency cannot express the total."""
    try:
        return smallest_units(total, currency)
    except ValueError:
        return None


def _order(row: Row) -> str:
    return f"order {row['order_id']}"
