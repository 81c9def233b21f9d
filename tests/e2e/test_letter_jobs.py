"""A killed process in the middle of a job or replay: no item is handled twice or left out."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.serving import Served

MANY = 60
LETTERS = "select count(*) from messages where queue = 'QuarantineQueue'"


def put(order_id: str) -> dict[str, str]:
    line = {"sku": "TEA-GREEN-100", "quantity": 1, "unit_price": 10}
    detail: dict[str, Any] = {
        "order_id": order_id,
        "customer_id": "C-1",
        "currency": "EURO",
        "items": [line],
    }
    detail |= {"total": 10, "timestamp": "2026-01-31T12:00:00Z"}
    entry = {"EventBusName": "orders-bus", "Source": "orders.service"}
    return entry | {"DetailType": "Order Created", "Detail": json.dumps(detail)}


def put_refused(served: Served) -> Any:
    """Put events that are refused, wait for their dead letters, and return the client."""
    events = served.client("events")
    for first in range(0, MANY, 10):
        entries = [put(f"BAD-{first + each}") for each in range(10)]
        assert events.put_events(Entries=entries)["FailedEntryCount"] == 0
    served.until(LETTERS, MANY)
    return events


def ask(served: Served, name: str, **request: object) -> dict[str, object]:
    headers = {"X-Amz-Target": f"Orderflow.{name}", "Content-Type": "application/x-amz-json-1.1"}
    status, answer = served.ask("POST", "/", request, headers)
    assert status == 200, answer
    found: dict[str, object] = answer
    return found


@pytest.mark.long
def test_a_job_that_is_killed_three_times_redrives_each_dead_letter_once(tmp_path: Path) -> None:
    with Served(tmp_path / "data") as served:
        put_refused(served)
        ids = [row[0] for row in served.rows("select id from messages order by id")]
        ask(served, "StartLetterJob", action="redrive", ids=ids, label="a test", rate=40, who="ada")
        for _ in range(3):
            time.sleep(0.3)
            served.kill()
            served.start()
        served.until("select state from letter_jobs", "COMPLETED")
        redriven = served.rows("select letter from letter_log where what = 'REDRIVEN'")
        assert Counter(row[0] for row in redriven) == Counter(ids)
        assert served.rows("select handled, refused from letter_jobs") == [(MANY, 0)]
        [(actor, action, result)] = served.rows(
            "select actor, action, result from operator_actions"
        )
        assert (actor, action, result) == ("ada", "redrive group", "DONE")


@pytest.mark.long
def test_a_replay_that_is_killed_three_times_delivers_each_event_once(tmp_path: Path) -> None:
    with Served(tmp_path / "data") as served:
        events = put_refused(served)
        served.until("select count(*) from events where archived = 0", 0)
        [(number,)] = served.rows("select count(*) from events")
        arn = "arn:aws:events:us-east-1:000000000000:archive/"
        [archive] = events.list_archives()["Archives"]
        fields = {"ReplayName": "again", "EventSourceArn": arn + archive["ArchiveName"]}
        ask(served, "StartReplay", **fields, EventStartTime=0, EventEndTime=4e9, Rate=80)
        for _ in range(3):
            time.sleep(0.3)
            served.kill()
            served.start()
        served.until("select state from replays", "COMPLETED")
        [(replayed,)] = served.rows("select replayed from replays")
        assert replayed >= number
        served.until(LETTERS, 2 * MANY)  # each request was refused once more
        time.sleep(0.5)
        assert served.rows(LETTERS) == [(2 * MANY,)]
