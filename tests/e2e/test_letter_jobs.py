"""kill -9 in the middle of a job or replay: each item is handled once, and other orders go on.

`make crash` runs these after the kills at random moments of orders.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.serving import Served

MANY = 60
RATE = 12
"""Items a second: the last kill comes some seconds before the end."""

KILLS = 3
LETTERS = "select count(*) from messages where queue = 'QuarantineQueue'"
LOGGED = "select letter from letter_log where what = ?"
JOB = "select state, handled from letter_jobs where id = ?"
REPLAY = "select state, replayed from replays where name = ?"

pytestmark = pytest.mark.long


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A server with dead letters of events that its orders' contract refuses."""
    with Served(tmp_path / "data") as started:
        put(started, *(f"BAD-{each}" for each in range(MANY)), currency="EURO")
        started.until(LETTERS, MANY)
        yield started


def put(served: Served, *order_ids: str, currency: str = "EUR") -> None:
    """Put an event for each order, ten at a time."""
    for first in range(0, len(order_ids), 10):
        entries = [created(each, currency) for each in order_ids[first : first + 10]]
        assert served.client("events").put_events(Entries=entries)["FailedEntryCount"] == 0


def created(order_id: str, currency: str) -> dict[str, str]:
    line = {"sku": "TEA-GREEN-100", "quantity": 1, "unit_price": 10}
    detail: dict[str, Any] = {
        "order_id": order_id,
        "customer_id": "C-1",
        "currency": currency,
        "items": [line],
    }
    address = {"name": "A", "street": "1 Mill Lane", "city": "C", "country": "DE"}
    detail |= {"total": 10, "timestamp": "2026-01-31T12:00:00Z", "shipping_address": address}
    entry = {"EventBusName": "orders-bus", "Source": "orders.service"}
    return entry | {"DetailType": "Order Created", "Detail": json.dumps(detail)}


def ask(served: Served, name: str, **request: object) -> dict[str, Any]:
    headers = {"X-Amz-Target": f"Orderflow.{name}", "Content-Type": "application/x-amz-json-1.1"}
    status, answer = served.ask("POST", "/", request, headers)
    assert status == 200, answer
    found: dict[str, Any] = answer
    return found


def start_job(served: Served, action: str) -> int:
    ids = [row[0] for row in served.rows("select id from messages where queue = 'QuarantineQueue'")]
    answer = ask(served, "StartLetterJob", action=action, ids=ids, rate=RATE, reason="a test")
    return int(answer["job"])


def progress(served: Served, query: str, key: object) -> tuple[str, int]:
    [(state, handled)] = served.rows(query, key)
    return state, handled


def kill_within(served: Served, query: str, key: object, total: int) -> None:
    """Kill the server some times while a job or replay has items behind and before it."""
    chance = random.Random(7)
    for _ in range(KILLS):
        before = progress(served, query, key)[1]
        while progress(served, query, key)[1] < before + 3:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.2))
        served.kill()
        state, handled = progress(served, query, key)
        assert state == "RUNNING"
        assert before < handled < total
        served.start()


def logged(served: Served, what: str) -> Counter[int]:
    """Return how often each dead letter has a step in its log."""
    return Counter(row[0] for row in served.rows(LOGGED, what))


def test_a_killed_job_redrives_each_dead_letter_once_and_orders_go_on(served: Served) -> None:
    job = start_job(served, "redrive")
    put(served, *(f"GOOD-{each}" for each in range(20)))
    kill_within(served, JOB, job, MANY)
    put(served, *(f"LATER-{each}" for each in range(20)))
    served.until("select state from letter_jobs", "COMPLETED")
    assert set(logged(served, "REDRIVEN").values()) == {1}
    assert len(logged(served, "REDRIVEN")) == MANY
    assert served.rows("select handled, refused from letter_jobs") == [(MANY, 0)]
    assert served.rows("select action, result from operator_actions") == [("redrive group", "DONE")]
    served.until("select count(*) from orders where status = 'COMPLETED'", 40)
    assert served.rows("select count(*) from charges") == [(40,)]


def test_a_killed_job_stays_paused_ends_once_and_is_undone_once(served: Served) -> None:
    job = start_job(served, "discard")
    kill_within(served, JOB, job, MANY)
    ask(served, "PauseLetterJob", id=job)
    paused = progress(served, JOB, job)
    assert paused[0] == "PAUSED"
    served.kill()
    served.start()
    time.sleep(1.0)
    assert progress(served, JOB, job) == paused
    ask(served, "ResumeLetterJob", id=job)
    served.until("select state from letter_jobs", "COMPLETED")
    assert served.rows(LETTERS) == [(0,)]
    undo = int(ask(served, "UndoLetterJob", id=job)["job"])
    kill_within(served, JOB, undo, MANY)
    served.until(f"select state from letter_jobs where id = {undo}", "COMPLETED")
    assert served.rows(LETTERS) == [(MANY,)]
    for what in ("DISCARDED", "RESTORED"):
        assert (len(logged(served, what)), set(logged(served, what).values())) == (MANY, {1})


def test_a_killed_job_that_is_cancelled_handles_nothing_more(served: Served) -> None:
    job = start_job(served, "discard")
    kill_within(served, JOB, job, MANY)
    ask(served, "CancelLetterJob", id=job)
    cancelled = progress(served, JOB, job)
    served.kill()
    served.start()
    time.sleep(1.0)
    assert progress(served, JOB, job) == cancelled
    assert served.rows(LETTERS) == [(MANY - cancelled[1],)]
    [(after,)] = served.rows("select after from operator_actions")
    counts = json.loads(after)
    assert (counts["done"], counts["untouched"]) == (cancelled[1], MANY - cancelled[1])


def start_replay(served: Served) -> int:
    """Start a replay of all archived events; return their number."""
    served.until("select count(*) from events where archived = 0", 0)
    [(number,)] = served.rows("select count(*) from events")
    arn = "arn:aws:events:us-east-1:000000000000:archive/"
    [archive] = served.client("events").list_archives()["Archives"]
    fields = {"ReplayName": "again", "EventSourceArn": arn + archive["ArchiveName"]}
    ask(served, "StartReplay", **fields, EventStartTime=0, EventEndTime=4e9, Rate=RATE)
    return int(number)


def test_a_killed_replay_delivers_each_event_once_and_orders_go_on(served: Served) -> None:
    put(served, "GOOD-1")
    served.until("select count(*) from orders where status = 'COMPLETED'", 1)
    number = start_replay(served)
    put(served, *(f"LATER-{each}" for each in range(20)))
    kill_within(served, REPLAY, "again", number)
    ask(served, "PauseReplay", ReplayName="again")
    paused = progress(served, REPLAY, "again")
    served.kill()
    served.start()
    time.sleep(0.5)
    assert progress(served, REPLAY, "again") == paused
    ask(served, "ResumeReplay", ReplayName="again")
    served.until("select state from replays", "COMPLETED")
    assert progress(served, REPLAY, "again")[1] >= number
    served.until(LETTERS, 2 * MANY)  # each request was refused once more
    served.until("select count(*) from orders where status = 'COMPLETED'", 21)
    time.sleep(0.5)
    assert served.rows(LETTERS) == [(2 * MANY,)]
    assert served.rows("select count(*) from charges") == [(21,)]
