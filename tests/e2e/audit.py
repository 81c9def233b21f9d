"""An audit of a data directory from outside: violations of `docs/reliability.md`."""

import base64
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from analytics.warehouse import connect
from kernel.money import to_minor
from tests.fakes.serving import answer, rows

HIGH_VALUE = 100_000
FACTS = {
    "COMPLETED": "Order Completed",
    "FAILED": "Order Failed",
    "CANCELLED": "Order Cancellation Confirmed",
}
REPEATED = {"Order Backordered", "Order Rejected"}
"""Published for each wait of an order, or each refused event; every other event once."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The events of clients, their acknowledgements, and the received stock."""

    details: Mapping[str, Mapping[str, Any]]
    """The detail of each valid order by its id."""

    ends: Mapping[str, str]
    """The expected last status of each of them."""

    invalid: Collection[str]
    """The ids of orders that break the contract."""

    received: Mapping[str, int]
    """Units by SKU."""

    acknowledged: Collection[str]
    """The ids of the events that were acknowledged."""

    def completed(self) -> list[str]:
        """Return the orders that must be paid and shipped."""
        return [order_id for order_id, end in self.ends.items() if end == "COMPLETED"]

    def totals(self) -> dict[str, int]:
        """Return the amount of each of these, in minor units."""
        return {one: to_minor(self.details[one]["total"]) for one in self.completed()}

    def units(self) -> Counter[str]:
        """Return the units to be shipped, by SKU."""
        units: Counter[str] = Counter()
        for order_id in self.completed():
            for item in self.details[order_id]["items"]:
                units[item["sku"]] += item["quantity"]
        return units


@dataclass(frozen=True)
class Books:
    """The records of a data directory."""

    data: Path

    def journal(self, query: str) -> list[Any]:
        """Return rows of the orders' database."""
        return rows(self.data / "orderflow.db", query)

    def partners(self, query: str) -> list[Any]:
        """Return rows of the records of gateway, carrier and mail server."""
        return rows(self.data / "sandbox.db", query)

    @cached_property
    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """The type and the detail of each event on the bus."""
        found = self.journal("select detail_type, envelope from events")
        return [(kind, json.loads(envelope)["detail"]) for kind, envelope in found]

    @cached_property
    def ledger(self) -> dict[str, tuple[str, str, int]]:
        """Charges by id: order, status, amount."""
        found = self.journal("select charge_id, order_id, status, amount from charges")
        return {charge: tuple(rest) for charge, *rest in found}


def audit(data: Path, sent: Sent) -> list[str]:
    """Return a line for each violation."""
    books = Books(data)
    return [
        f"{check.__name__.strip('_')}: {problem}"
        for check in (_files, _ends, _rest, _money, _stock, _shipments, _mails, _events, _sink)
        for problem in check(books, sent)
    ]


def _differ(what: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted(found.keys() | wanted.keys()):
        if found.get(key) != wanted.get(key):
            yield f"{what} of {key}: {found.get(key)}, not {wanted.get(key)}"


def _files(books: Books, _: Sent) -> Iterator[str]:
    for name, read in (("orderflow.db", books.journal), ("sandbox.db", books.partners)):
        [(said,)] = read("pragma integrity_check")
        if said != "ok":
            yield f"{name} is damaged: {said}"


def _ends(books: Books, sent: Sent) -> Iterator[str]:
    """Every order has its expected end, and no acknowledged event is lost."""
    there = {event for (event,) in books.journal("select id from events")}
    lost = set(sent.acknowledged) - there
    if lost:
        yield f"{len(lost)} acknowledged events are not in the journal, such as {min(lost)}"
    yield from _differ("end", dict(books.journal("select order_id, status from orders")), sent.ends)


def _rest(books: Books, sent: Sent) -> Iterator[str]:
    """No work is unfinished, and each dead letter has its reason."""
    letters = answer("dead-letters", "list", "--data", books.data)["dead_letters"]
    for letter in letters:
        if letter["order_id"] not in sent.invalid or not letter["reason"]:
            yield f"dead letter in {letter['queue']} of {letter['order_id']}: {letter['reason']}"
    for order_id in set(sent.invalid) - {letter["order_id"] for letter in letters}:
        yield f"{order_id} is invalid, and no dead letter says so"
    for table, where, wanted in (
        ("outbox", "true", 0),
        ("deliveries", "true", 0),
        ("executions", "status = 'RUNNING'", 0),
        ("messages", "true", len(letters)),
    ):
        [(left,)] = books.journal(f"select count(*) from {table} where {where}")
        if left != wanted:
            yield f"{left} {table} are left, not {wanted}"


def _money(books: Books, sent: Sent) -> Iterator[str]:
    """Only completed orders have paid, their total, once, in both books."""
    gateway = books.partners("select key, order_id, status, amount from gateway_charges")
    record = {key: tuple(rest) for key, *rest in gateway}
    for name, book in (("ledger", books.ledger), ("gateway's record", record)):
        paid: Counter[str] = Counter()
        for order_id, status, amount in book.values():
            paid[order_id] += amount if status == "CHARGED" else 0
        yield from _differ(f"{name} of what was paid", +paid, sent.totals())
    taken = Counter(key for key, _, status, _ in gateway if status in ("CHARGED", "REFUNDED"))
    yield from (f"{key} was charged {times} times" for key, times in taken.items() if times > 1)
    known = {key: row for key, row in record.items() if row[1] != "VOIDED"}
    settled = {key: row for key, row in books.ledger.items() if row[1] != "VOIDED"}
    yield from _differ("charge in the ledger beside the gateway's", settled, known)


def _stock(books: Books, sent: Sent) -> Iterator[str]:
    found = books.journal("select sku, on_hand, reserved, shipped - restocked from stock")
    received = {sku: on_hand + gone for sku, on_hand, _, gone in found}
    yield from _differ("stock received", received, sent.received)
    yield from _differ("stock shipped", +Counter({one[0]: one[3] for one in found}), sent.units())
    yield from (f"{reserved} {sku} stay reserved" for sku, _, reserved, _ in found if reserved)


def _shipments(books: Books, sent: Sent) -> Iterator[str]:
    once = Counter(sent.completed())
    for read, table in ((books.journal, "shipments"), (books.partners, "carrier_shipments")):
        found = read(f"select order_id from {table} where status = 'CREATED'")
        yield from _differ(table, Counter(order_id for (order_id,) in found), once)


def _mails(books: Books, sent: Sent) -> Iterator[str]:
    """Each completed order has a mail, and no unpaid order has one."""
    mailed = {order_id for (order_id,) in books.partners("select name from mail_messages")}
    wanted = {one for one in sent.completed() if sent.details[one].get("email")}
    yield from (f"{order_id} has no mail" for order_id in sorted(wanted - mailed))
    paid = {
        order for order, status, _ in books.ledger.values() if status in ("CHARGED", "REFUNDED")
    }
    yield from (f"{order_id} has a mail, unpaid" for order_id in sorted(mailed - paid))
    [(twice,)] = books.journal(
        "select count(*) - count(distinct order_id) from timeline where what = 'CONFIRMATION_SENT'"
    )
    if twice:
        yield f"{twice} mails were sent again after they were marked as sent"


def _events(books: Books, sent: Sent) -> Iterator[str]:
    """Each fact has its event, with one id however often it was published."""
    ids: dict[tuple[str, str], set[str]] = {}
    for kind, detail in books.events:
        if detail.get("metadata"):
            key = detail["order_id"], kind
            ids.setdefault(key, set()).add(detail["metadata"]["event_id"])
    for (order_id, kind), found in ids.items():
        if len(found) > 1 and kind not in REPEATED:
            yield f"{kind} of {order_id} has {len(found)} ids"
    ended = {order_id: kind for order_id, kind in ids if kind in FACTS.values()}
    yield from _differ("last event", ended, {one: FACTS[end] for one, end in sent.ends.items()})
    refunded = {order_id: "refunded" for order_id, kind in ids if kind == "Payment Refunded"}
    back = [order for order, status, _ in books.ledger.values() if status == "REFUNDED"]
    yield from _differ("refund's event", refunded, dict.fromkeys(back, "refunded"))
    flagged = {order_id: "flag" for order_id, kind in ids if kind == "High Value Order Flagged"}
    high = [one for one, each in sent.details.items() if to_minor(each["total"]) >= HIGH_VALUE]
    yield from _differ("high value's event", flagged, dict.fromkeys(high, "flag"))


def _sink(books: Books, sent: Sent) -> Iterator[str]:
    """Every event of the bus is in the analysts' view once, or under the error prefix."""
    columns = "order_id, event_type, event_id"
    with connect(books.data / "bucket") as connection:
        raw = connection.execute(f"select {columns} from order_events_raw").fetchall()
        seen = connection.execute(f"select {columns} from order_events").fetchall()
    yield from (f"{row} is counted {n} times" for row, n in Counter(seen).items() if n > 1)
    if set(raw) != set(seen):
        yield "the view has other events than the files"
    given = {tuple(row) for row in seen}
    named = {
        (detail["order_id"], kind, detail["metadata"]["event_id"])
        for kind, detail in books.events
        if detail.get("metadata")
    }
    yield from (f"{row} is missing" for row in sorted(named - given))
    bare = {
        f"{kind} of {detail['order_id']}": 1
        for kind, detail in books.events
        if not detail.get("metadata") and detail["order_id"] not in sent.invalid
    }
    others = Counter(f"{kind} of {order_id}" for order_id, kind, _ in given - named)
    yield from _differ("rows", others, bare)
    refused = {_refused(line) for line in _errors(books.data / "bucket")}
    yield from (f"{one} is in no error prefix" for one in sorted(set(sent.invalid) - refused))


def _errors(bucket: Path) -> Iterator[str]:
    for path in bucket.glob("errors/**/*.jsonl"):
        yield from path.read_text(encoding="utf-8").splitlines()


def _refused(line: str) -> str:
    """Return the order of an event in the sink's error prefix."""
    event = json.loads(base64.b64decode(json.loads(line)["rawData"]))
    return str(event["detail"]["order_id"])
