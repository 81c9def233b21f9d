"""The handler returns only failed messages for a retry."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.local.template.loader import Template
from infra.local.template.project import TEMPLATE
from kernel.errors import InvalidSettings
from kernel.order_record import Line, OrderRecord
from lambda_support import aws
from notifications import wiring
from notifications.handlers.send_confirmation import SECONDS_OF_A_MAIL, handler
from storage.sqlite.database import Database, database
from storage.sqlite.records import SQLiteRecords


def context(seconds: float = 30.0) -> Any:
    """Return the context of a call that has this time left."""
    return SimpleNamespace(
        function_name="send_confirmation",
        aws_request_id="r-1",
        get_remaining_time_in_millis=lambda: int(seconds * 1000),
    )


CONTEXT = context()


@pytest.fixture
def outbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    sandbox = tmp_path / "the sandbox.db"
    monkeypatch.setenv("STORE_URL", f"sqlite:///{tmp_path}/orders.db")
    monkeypatch.setenv("MAILER_URL", f"sqlite:///{sandbox}")
    monkeypatch.setenv("QUARANTINE_QUEUE_URL", "quarantine")
    wiring.ports.cache_clear()
    yield sandbox
    wiring.ports.cache_clear()


def place(sandbox: Path, order_id: str, email: str) -> None:
    record = OrderRecord(
        order_id=order_id,
        customer_id="C-42",
        currency="USD",
        total=1000,
        items=(Line("TEA", 1, 1000),),
        placed_at="2026-01-31T12:00:00Z",
        content_hash="hash",
        event_id=f"event of {order_id}",
        correlation_id="c",
        created_at=0.0,
        updated_at=0.0,
        email=email,
    )
    store = SQLiteRecords(database(f"sqlite:///{sandbox.parent}/orders.db"))
    store.save(record.change())


def batch(*bodies: str) -> dict[str, Any]:
    return {
        "Records": [
            {"messageId": f"m-{number}", "body": body, "eventSource": "aws:sqs"}
            for number, body in enumerate(bodies)
        ]
    }


def test_only_the_failed_one_of_ten_messages_is_retried(outbox: Path) -> None:
    for number in range(10):
        domain = "bounce.example" if number == 3 else "example.com"
        place(outbox, f"A-{number}", f"ada@{domain}")
    bodies = [json.dumps({"order_id": f"A-{number}"}) for number in range(10)]
    answer = handler(batch(*bodies), CONTEXT)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m-3"}]}
    sent = Database(str(outbox)).rows("select name from mail_messages order by name")
    assert [row["name"] for row in sent] == [f"A-{number}" for number in range(10) if number != 3]


def test_no_mail_is_begun_when_the_call_may_end_before_its_mark(outbox: Path) -> None:
    place(outbox, "A-1", "ada@example.com")
    body = '{"order_id": "A-1"}'
    late = handler(batch(body), context(SECONDS_OF_A_MAIL - 0.1))
    assert late == {"batchItemFailures": [{"itemIdentifier": "m-0"}]}
    assert not Database(str(outbox)).row("select 1 from sqlite_master where name = 'mail_messages'")
    assert handler(batch(body), context(SECONDS_OF_A_MAIL)) == {"batchItemFailures": []}


def test_a_mail_takes_less_time_than_the_call_reserves_for_it() -> None:
    calls = 3  # the record, the mail, the mark
    slowest = calls * aws.ATTEMPTS * aws.READ_TIMEOUT
    template = Template(TEMPLATE, {}, lambda *_: {})
    function = template.resources["SendConfirmationFunction"]["Properties"]
    assert slowest < SECONDS_OF_A_MAIL < function["Timeout"]


def test_an_unmailable_confirmation_is_quarantined_at_once_with_its_reason(outbox: Path) -> None:
    place(outbox, "A-1", "ü@example.com")
    assert handler(batch('{"order_id": "A-1"}'), CONTEXT) == {"batchItemFailures": []}
    orders = database(f"sqlite:///{outbox.parent}/orders.db")
    [row] = orders.rows("select kind, body from outbox")
    message = json.loads(row["body"])
    assert (row["kind"], message["queue"]) == ("message", "quarantine")
    dead_letter = message["body"]
    assert (dead_letter["consumer"], dead_letter["event"]) == (
        "send_confirmation",
        {"order_id": "A-1"},
    )
    assert dead_letter["reason"]["error"] == "UnmailableAddress"
    assert "before the @ they take ASCII letters" in dead_letter["reason"]["message"]


def test_the_ids_of_all_failed_messages_are_returned(outbox: Path) -> None:
    answer = handler(batch("no json", '{"order_id": "unknown"}', "{}"), CONTEXT)
    assert [failure["itemIdentifier"] for failure in answer["batchItemFailures"]] == [
        "m-0",
        "m-1",
        "m-2",
    ]


def test_ses_sends_from_the_address_in_its_url(
    outbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("MAILER_URL", "ses://shop@example.org")
    assert wiring.ports().sender == "shop@example.org"


@pytest.mark.parametrize("url", ["smtp://host", "file:///folder", "nothing"])
def test_an_unknown_mailer_is_refused_by_name(
    outbox: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("MAILER_URL", url)
    with pytest.raises(InvalidSettings, match=f"MAILER_URL: '{url}'"):
        wiring.ports()
