"""kill -9 at any moment (F32): every order ends, nobody is charged twice, and no event is lost."""

import json
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

from analytics.warehouse import connect
from tests.fakes.serving import Served, answer, rows

ORDERS = 200
KILLS = 4
SEED = 20_261_124
PATIENCE = 15.0
"""Seconds in which the restarted server ends the orders; what then waits for a lease is skipped."""

ENDED = "status in ('COMPLETED', 'FAILED', 'CANCELLED')"
COUNTS = f"select count(*), coalesce(sum({ENDED}), 0) from orders"


def detail(number: int) -> dict[str, Any]:
    """Return one of the orders: of every kind that ends within seconds."""
    token = ("", "", "", "tok_decline", "tok_lose_answer", "tok_timeout")[number % 6]
    street = "SANDBOX FAIL" if number % 10 == 9 else "1 Mill Lane"
    order = {
        "order_id": f"K-{number:03d}",
        "customer_id": "C-1",
        "currency": "USD",
        "items": [{"sku": ("TEA", "CUP")[number % 2], "quantity": 1, "unit_price": 600}],
        "total": 600,
        "timestamp": "2026-01-31T12:00:00Z",
        "email": "ada@example.com",
        "shipping_address": {"name": "A", "street": street, "city": "C", "country": "Y"},
    }
    return order | ({"payment_token": token} if token else {})


def test_after_kills_at_random_moments_all_orders_end_and_nobody_is_charged_twice(
    tmp_path: Path,
) -> None:
    chance = random.Random(SEED)
    stock = tmp_path / "stock.csv"
    stock.write_text(f"sku,on_hand\nTEA,{ORDERS}\nCUP,{ORDERS}\n")
    with Served(tmp_path / "data", "--stock", str(stock)) as server:
        for kill in range(1, KILLS + 1):
            client = server.client("events")
            for first in range(ORDERS * (kill - 1) // KILLS, ORDERS * kill // KILLS, 10):
                put_ten(client, first)
            time.sleep(chance.uniform(0, 0.6))
            server.kill()
            server.start()
        assert server.rows("select count(distinct order_id) from events") == [(ORDERS,)]
        ended, end = 0, time.monotonic() + PATIENCE
        while ended < ORDERS and time.monotonic() < end:
            time.sleep(0.1)
            before, (_, ended) = ended, server.rows(COUNTS)[0]
            assert ended >= before, "an order that had ended has not ended any more"
        assert ended > 0, "nothing went on by itself"
        assert server.stop() == 0
    ran = answer("run", "--count", 0, "--data", tmp_path / "data")
    assert (ran["in_flight"], ran["totals"]["orders"]) == (0, ORDERS)
    check(tmp_path / "data")


def put_ten(client: Any, first: int) -> None:
    """Put ten orders."""
    entries = [
        {
            "EventBusName": "orders-bus",
            "Source": "orders.service",
            "DetailType": "Order Created",
            "Detail": json.dumps(detail(number)),
        }
        for number in range(first, first + 10)
    ]
    assert client.put_events(Entries=entries)["FailedEntryCount"] == 0


def check(data: Path) -> None:
    """Hold what is in the directory against `FAULTS`: money, stock, shipments, ends, events."""
    journal, sandbox = data / "orderflow.db", data / "sandbox.db"
    statuses = dict(rows(journal, "select order_id, status from orders"))
    assert len(statuses) == ORDERS
    assert set(statuses.values()) == {"COMPLETED", "FAILED"}
    completed = {order_id for order_id, status in statuses.items() if status == "COMPLETED"}
    _money(journal, sandbox, completed)
    _stock(journal, completed)
    _shipments(journal, sandbox, completed)
    _mails(data, completed)
    _events(data, statuses)


def _money(journal: Path, sandbox: Path, completed: set[str]) -> None:
    charged = rows(journal, "select order_id from charges where status = 'CHARGED'")
    assert {order_id for (order_id,) in charged} == completed
    assert rows(journal, "select count(*) from charges where status = 'PENDING'") == [(0,)]
    gateway = rows(sandbox, "select key, order_id, status, amount from gateway_charges")
    paid = Counter(order_id for _, order_id, status, _ in gateway if status == "CHARGED")
    assert paid == Counter(completed), "charged once for each completed order and for no other"
    taken = Counter(key for key, _, status, _ in gateway if status in ("CHARGED", "REFUNDED"))
    assert max(taken.values()) == 1, "nobody was ever charged twice, refunded or not"
    assert {amount for _, order_id, _, amount in gateway if order_id} == {60_000}


def _stock(journal: Path, completed: set[str]) -> None:
    moved = "select on_hand + shipped - restocked, reserved, shipped - restocked from stock"
    stock = rows(journal, moved)
    assert {(received, reserved) for received, reserved, _ in stock} == {(ORDERS, 0)}
    assert sum(gone for _, _, gone in stock) == len(completed)


def _shipments(journal: Path, sandbox: Path, completed: set[str]) -> None:
    for database, table in ((journal, "shipments"), (sandbox, "carrier_shipments")):
        made = rows(database, f"select order_id from {table} where status = 'CREATED'")
        assert Counter(order_id for (order_id,) in made) == Counter(completed)


def _mails(data: Path, completed: set[str]) -> None:
    """One mail for each order that was paid, also if it could not be shipped afterwards."""
    mails = [path.read_text() for path in (data / "mails").glob("*.eml")]
    mailed = Counter(mail.partition("Subject: Your order ")[2].split()[0] for mail in mails)
    assert completed <= set(mailed)
    assert set(mailed.values()) == {1}


def _events(data: Path, statuses: dict[str, str]) -> None:
    """Hold what was published, and what the analysts see of it, against what happened."""
    ended = {"COMPLETED": "Order Completed", "FAILED": "Order Failed"}
    published = rows(
        data / "orderflow.db",
        "select order_id, detail_type, count(distinct json_extract(envelope,"
        " '$.detail.metadata.event_id')) from events where detail_type <> 'Order Created'"
        " group by 1, 2",
    )
    ends = {(order_id, kind) for order_id, kind, _ in published if kind in ended.values()}
    assert ends == {(order_id, ended[status]) for order_id, status in statuses.items()}
    assert {count for _, _, count in published} == {1}, "an event has the same id each time"
    created = {(order_id, "Order Created") for order_id in statuses}
    facts = {(order_id, kind) for order_id, kind, _ in published}
    with connect(data / "bucket") as connection:
        stored = connection.execute("select order_id, event_type from order_events").fetchall()
    assert Counter(stored) == Counter(created | facts)
