"""Generated orders of every kind with their stock, reproducible by a seed."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from infra.cli.event_files import Line, to_put_entry
from infra.contracts.catalogue import CATALOGUE, SOLD_OUT
from infra.local.directory.data_directory import DataDirectory
from inventory.model import Receipt
from kernel.events import SOURCE
from kernel.money import from_minor
from payments.gateway import DECLINES

KINDS = {
    "completed": 880,
    "high value": 30,
    "declined": 20,
    "out of stock": 8,
    "cancelled": 8,
    "gateway trouble": 15,
    "carrier refuses": 9,
    "duplicate": 20,
    "rejected": 10,
}
"""Orders of each kind in a thousand; the first orders have each kind once."""

PLAIN = 100_00
"""Maximum price of products in orders that must not be flagged as of high value."""

DUPLICATED = 500
"""A duplicate repeats one of this many first events."""

EXPECTED = {
    "completed": "paid, taken from stock, shipped",
    "high value": "the same, and flagged for review",
    "declined": "the card is refused: failed, stock released",
    "out of stock": "retried until it is given up: failed, nothing charged",
    "cancelled": "cancelled while it waits for stock",
    "gateway trouble": "no answer, or a lost one: retried, charged once, completed",
    "carrier refuses": "paid, then no shipment: refunded, restocked, failed",
    "duplicate": "the same event again: ignored",
    "rejected": "breaks the contract: never on the bus",
}

_TROUBLE = ("tok_timeout", "tok_lose_answer", "tok_unavailable_1")
_STREETS = ("Mill Lane", "Harbour Street", "Station Road", "Orchard Way")
_CITIES = (("Lisbon", "Portugal"), ("Graz", "Austria"), ("Leeds", "United Kingdom"))
_START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Generated:
    """Generated orders with their stock, and their number by kind."""

    count: int
    seed: int
    events: list[tuple[str, dict[str, Any]]]
    receipt: Receipt
    kinds: Counter[str] = field(default_factory=Counter)

    def lines(self) -> Iterator[Line]:
        """Yield the events like those of a file."""
        path = f"generated-{self.seed}"
        for number, (kind, envelope) in enumerate(self.events, 1):
            problem = "detail.items[0].quantity: 0: input should be greater than or equal to 1"
            if kind == "rejected":
                yield Line(path, number, problem=problem)
            else:
                yield Line(path, number, envelope, entry=to_put_entry(envelope))


def next_seed(where: DataDirectory) -> int:
    """Return the first seed without orders in the data directory."""
    if not where.database.exists():
        return 1
    row = where.reader().row(
        "select max(cast(substr(order_id, 2, instr(order_id, '-') - 2) as integer))"
        " from orders where order_id glob 'G[0-9]*-*'"
    )
    return ((row and row[0]) or 0) + 1


def generate(count: int, seed: int) -> Generated:
    """Return ``count`` orders of all kinds; a seed always gives the same ones."""
    chance = random.Random(seed)  # noqa: S311 - orders, not secrets
    names, weights = list(KINDS), list(KINDS.values())
    events: list[tuple[str, dict[str, Any]]] = []
    kinds: Counter[str] = Counter()
    demand: Counter[str] = Counter({product.sku: 0 for product in CATALOGUE})
    for number in range(count):
        kind = names[number] if number < len(names) else chance.choices(names, weights)[0]
        if kind == "duplicate":
            completed = [event for other, event in events[:DUPLICATED] if other == "completed"]
            events.append((kind, chance.choice(completed)))
        else:
            order = _order(number, kind, seed, chance)
            events.append((kind, _event("Order Created", order)))
            if kind == "cancelled":
                about = {key: order[key] for key in ("order_id", "timestamp")}
                events.append((kind, _event("Order Cancelled", {**about, "reason": "on request"})))
            for item in order["items"]:
                if kind != "rejected" and item["sku"] != SOLD_OUT:
                    demand[item["sku"]] += item["quantity"]
        kinds[kind] += 1
    digest = sha256(f"generated {seed} {count}".encode()).hexdigest()
    return Generated(count, seed, events, Receipt(digest, dict(demand) if count else {}), kinds)


def _order(number: int, kind: str, seed: int, chance: random.Random) -> dict[str, Any]:
    products = [product for product in CATALOGUE if product.unit_price_minor < PLAIN]
    if kind in ("out of stock", "cancelled"):
        products = [product for product in CATALOGUE if product.sku == SOLD_OUT]
    lines = chance.sample(products, min(len(products), chance.choice((1, 2, 2, 3, 3, 4))))
    items, total = [], 0
    for product in lines:
        quantity = chance.randint(1, 3)
        if kind == "high value":
            quantity = 100_000 // product.unit_price_minor + 1
        total += quantity * product.unit_price_minor
        price = from_minor(product.unit_price_minor)
        items.append({"sku": product.sku, "quantity": quantity, "unit_price": price})
    city, country = chance.choice(_CITIES)
    street = f"{chance.randint(1, 120)} {chance.choice(_STREETS)}"
    order: dict[str, Any] = {
        "order_id": f"G{seed}-{number + 1:06d}",
        "customer_id": f"C-{chance.randint(1, 500):03d}",
        "currency": "USD",
        "items": items,
        "total": from_minor(total),
        "timestamp": (_START + timedelta(seconds=37 * number)).isoformat().replace("+00:00", "Z"),
        "email": f"customer{chance.randint(1, 500)}@example.com",
        "shipping_address": {
            "name": "A. Customer",
            "street": "SANDBOX FAIL" if kind == "carrier refuses" else street,
            "city": city,
            "country": country,
        },
    }
    if kind == "declined":
        order["payment_token"] = DECLINES
    if kind == "gateway trouble":
        order["payment_token"] = chance.choice(_TROUBLE)
    if kind == "rejected":
        order["items"][0]["quantity"] = 0
    return order


def _event(name: str, detail: dict[str, Any]) -> dict[str, Any]:
    return {"source": SOURCE, "detail-type": name, "time": detail["timestamp"], "detail": detail}
