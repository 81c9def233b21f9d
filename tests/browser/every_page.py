"""Every page of the console with real content: its address, and the steps that lead to it."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Page

from tests.fakes.serving import Served, answer, orders
from tests.host import order

LINE = {"sku": "TEA-GREEN-100", "quantity": 2, "unit_price": 12.5}
VASE = {"sku": "VASE-LIMITED", "quantity": 1, "unit_price": 249}
DEAR = {"sku": "TEA-GREEN-100", "quantity": 2, "unit_price": 640}
ORDER: dict[str, Any] = {"customer_id": "C-42", "currency": "GBP", "items": [LINE]}
PATTERN = '{"detail": {"total": [{"numeric": [">", 999]}]}}'
LONG = "select count(*) from range(100000000000) a"
CHART = "select status, count(*) as orders from orders group by status order by orders desc"


@dataclass(frozen=True)
class Shot:
    """A page: its path in the console, and the steps on it before it is looked at.

    ``opens`` is whether its folded parts are opened.
    """

    path: str
    steps: Callable[[Page], object] = lambda _: None
    opens: bool = False


@contextmanager
def shop(folder: Path) -> Iterator[Served]:
    """Serve 200 generated orders, and orders, dead letters, jobs and a replay of every kind."""
    data = folder / ".orderflow"
    done = orders("run", "--count", "200", "--data", data, timeout=300)
    assert done.returncode == 0, done.stderr
    with Served(data, "--parameter", "HighValueApproval=on") as served:
        place(served, "A-1001", email="ada@example.com")
        place(served, "A-1006", payment_token="tok_decline")
        place(served, "A-1007", items=[VASE])
        place(served, "A-1008", items=[DEAR], email="grace@example.com")
        wrong = [order(f"A-11{each:02}", currency="EURO") for each in range(30)]
        wrong += [order(f"A-12{each:02}", total=99 + each) for each in range(4)]
        late = {**ORDER, "order_id": "A-1099", "total": 25, "timestamp": "yesterday"}
        put(served, [*wrong, {"detail-type": "Order Created", "detail": late}])
        for order_id, status in (
            *(("A-1001", "COMPLETED"), ("A-1006", "FAILED"), ("A-1007", "WAITING")),
            ("A-1008", "AWAITING_APPROVAL"),
        ):
            served.until(f"select status from orders where order_id = '{order_id}'", status)
        served.until(
            "select count(*) from messages where queue = 'QuarantineQueue'", len(wrong) + 1
        )
        orders("note", "A-1007", "the supplier promised Friday", "--data", data)
        yield served


def place(served: Served, order_id: str, **changes: Any) -> None:
    """Place an order by the HTTP API."""
    status, reply = served.ask("POST", "/orders", {**ORDER, "order_id": order_id, **changes})
    assert status == 201, reply


def put(served: Served, events: list[dict[str, Any]]) -> None:
    """Put events on the bus, refused ones too."""
    entries = [
        {
            "EventBusName": "orders-bus",
            "Source": "orders.service",
            "DetailType": each["detail-type"],
            "Detail": json.dumps(each["detail"]),
        }
        for each in events
    ]
    for first in range(0, len(entries), 10):
        served.client("events").put_events(Entries=entries[first : first + 10])


def act(served: Served) -> Mapping[str, Any]:
    """Run jobs, discards and a replay, and save views; return the numbers of the subjects."""

    def letters(*words: object) -> Any:
        return answer("dead-letters", *words, "--data", served.data)

    ids = [each["id"] for each in letters("list", "--reason", "currency")["dead_letters"]]
    jobs = letters("jobs", "start", "discard", *ids[:5], "--reason", "a test of the new shop")
    orders(*("dead-letters", "discard", ids[5], "--reason", "a duplicate", "--data", served.data))
    redriven = letters("jobs", "start", "redrive", *ids[6:9])
    group = next(each for each in letters("groups")["groups"] if "currency" in each["label"])
    options = ("--group", group["key"], "--pace", 0.02, "--no-wait")
    running = letters("jobs", "start", "redrive", *options)
    number = ids[-1]
    for name, page, filters in (
        ("Failed at C-42", "orders", ("status=FAILED", "customer=C-42")),
        ("Of high value", "bus", (f"pattern={PATTERN}",)),
        ("By queue", "dead-letters", ("by=queue",)),
    ):
        given = [word for each in filters for word in ("--filter", each)]
        answer("views", "save", name, "--page", page, *given, "--data", served.data)
    replay(served, "after-the-outage", 0.2)
    return {
        "discard": jobs["id"],
        "redrive": redriven["id"],
        "running": running["id"],
        "letter": number,
        "discarded": ids[5],
        "group": group["key"],
        "event": served.rows("select max(seq) from events where order_id = 'A-1008'")[0][0],
        "high": served.rows("select min(seq) from events where order_id = 'A-1008'")[0][0],
    }


def replay(served: Served, name: str, rate: float) -> None:
    """Start a replay of the archive."""
    events = served.client("events")
    [archive] = events.list_archives()["Archives"]
    arn = f"arn:aws:events:us-east-1:000000000000:archive/{archive['ArchiveName']}"
    fields: dict[str, Any] = {"ReplayName": name, "EventSourceArn": arn, "Rate": rate}
    fields |= {"EventStartTime": 0, "EventEndTime": time.time() + 60}
    headers = {"X-Amz-Target": "Orderflow.StartReplay"}
    headers["Content-Type"] = "application/x-amz-json-1.1"
    status, reply = served.ask("POST", "/", fields, headers)
    assert status == 200, reply


def pages(known: Mapping[str, Any]) -> Mapping[str, Shot]:
    """Return every page of a shop by a name."""
    group = f"/dead-letters/groups/reason/{known['group']}"
    letter = f"/dead-letters/{known['letter']}"
    day = time.strftime("%Y-%m-%dT", time.gmtime(time.time() - 86_400))
    span = {"start": f"{day}00:00:00", "end": time.strftime("%Y-%m-%dT23:59:59", time.gmtime())}
    return {
        "overview": Shot("/"),
        "overview-opened": Shot("/", opens=True),
        "orders": Shot("/orders"),
        "orders-views": Shot("/orders?status=FAILED&customer=C-42", opens=True),
        "order": Shot("/orders/A-1001"),
        "dead-letters": Shot("/dead-letters"),
        "order-revealed": Shot("/orders/A-1001", _click("Show it"), opens=True),
        "state": Shot("/orders/A-1001?state=ProcessPayment#run"),
        "state-opened": Shot("/orders/A-1001?state=ProcessPayment#run", opens=True),
        "waiting-order": Shot("/orders/A-1007", opens=True),
        "failed-order": Shot("/orders/A-1006"),
        "refused-order": Shot("/orders/A-1099"),
        "deciding-order": Shot("/orders/A-1008", opens=True),
        "decision": Shot("/orders/A-1008/decision?decision=reject&reason=unknown+customer"),
        "resend": Shot("/orders/A-1001/resend", opens=True),
        "resend-refused": Shot("/orders/A-1099/resend"),
        "search": Shot("/search?q=A-1"),
        "bus": Shot("/bus"),
        "bus-pattern": Shot(f"/bus?{urlencode({'pattern': PATTERN})}", opens=True),
        "bus-wrong-pattern": Shot("/bus?pattern=[]"),
        "event": Shot(f"/bus/{known['high']}", opens=True),
        "event-tried": Shot(f"/bus/{known['high']}?{urlencode({'pattern': PATTERN})}"),
        "rules": Shot("/bus/rules"),
        "rule": Shot("/bus/rules/HighValueRule"),
        "letter-groups": Shot("/dead-letters", opens=True),
        "letter-groups-queue": Shot("/dead-letters?by=queue", opens=True),
        "letter-group": Shot(group),
        "letter-preview-redrive": Shot(f"{group}/redrive?newest=999999"),
        "letter-preview-discard": Shot(f"{group}/discard?newest=999999&most=3"),
        "letter": Shot(letter, opens=True),
        "letter-closed": Shot(f"/dead-letters/{known['discarded']}"),
        "letter-edit": Shot(f"{letter}/edit"),
        "letter-edit-wrong": Shot(f"{letter}/edit", _check("EURO", "EURX")),
        "letter-edit-right": Shot(f"{letter}/edit", _check("EURO", "EUR"), opens=True),
        "letters-closed": Shot("/dead-letters/closed"),
        "jobs": Shot("/dead-letters/jobs"),
        "job-running": Shot(f"/dead-letters/jobs/{known['running']}"),
        "job-discard": Shot(f"/dead-letters/jobs/{known['discard']}"),
        "job-redrive": Shot(f"/dead-letters/jobs/{known['redrive']}"),
        "replays": Shot("/replays"),
        "replay-new": Shot("/replays/new"),
        "replay-dry-run": Shot(f"/replays/new?{urlencode({**span, 'rules': '', 'rate': '20'})}"),
        "replay-wrong": Shot("/replays/new?start=now"),
        "replay-running": Shot("/replays/after-the-outage"),
        "queries": Shot("/queries"),
        "query-chart": Shot("/queries/revenue_by_day", _ended, opens=True),
        "query-own": Shot(f"/queries/sql?{urlencode({'q': CHART})}", _ended),
        "query-wrong": Shot("/queries/sql?q=select+oops+from+orders", _ended),
        "query-running": Shot(f"/queries/sql?{urlencode({'q': LONG, 'dialect': 'duckdb'})}"),
        "contracts": Shot("/contracts"),
        "contract": Shot("/contracts/order-created", opens=True),
        "contract-check": Shot("/contracts/check"),
        "contract-checked": Shot("/contracts/check", _validate),
        "contract-send": Shot("/contracts/order-created/send"),
        "contract-send-stock": Shot("/contracts/order-created/send?example=out-of-stock"),
        "activity": Shot("/activity", opens=True),
        "problem-404": Shot("/orders/none"),
        "problem-400": Shot("/orders?status=LOST"),
    }


EMPTY: Mapping[str, Shot] = {
    f"empty-{name}": Shot(path, opens=True)
    for name, path in {
        "overview": "/",
        "orders": "/orders",
        "bus": "/bus",
        "letters": "/dead-letters",
        "closed": "/dead-letters/closed",
        "jobs": "/dead-letters/jobs",
        "replays": "/replays",
        "activity": "/activity",
        "query": "/queries/revenue_by_day",
    }.items()
}
"""The pages of a directory without an event."""


def _click(name: str) -> Callable[[Page], object]:
    return lambda page: page.get_by_role("button", name=name).first.click()


def _check(was: str, becomes: str) -> Callable[[Page], object]:
    def steps(page: Page) -> None:
        field = page.locator("textarea[name=event]")
        field.fill(field.input_value().replace(was, becomes))
        page.get_by_role("button", name="Check").click()

    return steps


def _validate(page: Page) -> None:
    wrong = {**order("A-1", currency="EURO"), "id": "1"}
    right = {**order("A-1001"), "id": "2"}
    lines = "\n".join(json.dumps(each) for each in (wrong, right))
    page.locator("textarea[name=events]").fill(lines)
    page.get_by_role("button", name="Check", exact=True).click()


def _ended(page: Page) -> None:
    """Wait for the answer of a query."""
    page.wait_for_function("!document.querySelector('[data-again]')", timeout=20_000)


OPEN = "document.querySelectorAll('main details').forEach(each => { each.open = true })"


def show(page: Page, origin: str, shot: Shot) -> None:
    """Open a page, and take its steps."""
    page.goto(f"{origin}/console{shot.path}")
    shot.steps(page)
    page.wait_for_load_state()
    page.locator("#badge[data-state=live]").wait_for()
    if shot.opens:
        page.evaluate(OPEN)
