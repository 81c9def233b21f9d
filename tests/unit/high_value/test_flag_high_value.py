"""The handler returns only messages with an unexpected error for a retry."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from high_value import wiring
from high_value.handlers.flag_high_value import handler
from kernel.errors import InvalidSettings
from storage.sqlite.database import Database, database

CONTEXT: Any = SimpleNamespace(function_name="flag_high_value", aws_request_id="r-1")


@pytest.fixture
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path}/orders.db"
    monkeypatch.setenv("STORE_URL", url)
    monkeypatch.setenv("QUARANTINE_QUEUE_URL", "https://sqs.example/quarantine")
    wiring.ports.cache_clear()
    yield database(url)
    wiring.ports.cache_clear()


def message(number: int, total: float, currency: str = "USD") -> dict[str, Any]:
    detail = {
        "order_id": f"A-{number}",
        "customer_id": "C-42",
        "currency": currency,
        "items": [{"sku": "TEA", "quantity": 1, "unit_price": total}],
        "total": total,
        "timestamp": "2026-01-31T12:00:00Z",
    }
    envelope = {"source": "orders.service", "detail-type": "Order Created", "detail": detail}
    return {"messageId": f"m-{number}", "body": json.dumps(envelope), "eventSource": "aws:sqs"}


def flagged(orders: Database) -> list[str]:
    return [row["order_id"] for row in orders.rows("select order_id from reviews order by 1")]


def test_only_the_failing_one_of_ten_messages_is_retried(orders: Database) -> None:
    wiring.ports()
    orders.connection.execute(
        "create trigger poison before insert on reviews when new.order_id = 'A-7'"
        " begin select raise(abort, 'the disk is full'); end"
    )
    answer = handler({"Records": [message(number, 1000) for number in range(10)]}, CONTEXT)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m-7"}]}
    assert flagged(orders) == [f"A-{number}" for number in range(10) if number != 7]


def test_the_id_of_a_single_failed_message_is_returned(orders: Database) -> None:
    wiring.ports()
    orders.connection.execute("drop table reviews")
    answer = handler({"Records": [message(1, 1000)]}, CONTEXT)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}


def test_an_invalid_event_is_acknowledged_and_put_into_the_outbox(orders: Database) -> None:
    answer = handler({"Records": [message(1, -5), message(2, 5000)]}, CONTEXT)
    assert answer == {"batchItemFailures": []}
    assert flagged(orders) == ["A-2"]
    kinds = [row["kind"] for row in orders.rows("select kind from outbox order by id")]
    assert kinds == ["message", "event"]


def test_the_threshold_is_a_setting(orders: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    assert wiring.ports().thresholds.general == 100_000
    wiring.ports.cache_clear()
    monkeypatch.setenv("HIGH_VALUE_THRESHOLD", "5.50")
    handler({"Records": [message(1, 5.49), message(2, 5.5)]}, CONTEXT)
    assert flagged(orders) == ["A-2"]


def test_a_currency_can_have_its_own_threshold(
    orders: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    wiring.ports.cache_clear()
    monkeypatch.setenv("HIGH_VALUE_THRESHOLDS", "JPY=150000 EUR=2000")
    euros, yen = [
        [message(number, total, currency) for number, total in numbered]
        for currency, numbered in (
            ("EUR", [(1, 1_999.99), (2, 2_000)]),
            ("JPY", [(3, 149_999), (4, 150_000)]),
        )
    ]
    handler({"Records": [*euros, *yen, message(5, 1_000, "USD")]}, CONTEXT)
    assert flagged(orders) == ["A-2", "A-4", "A-5"]


@pytest.mark.parametrize(
    "setting", ["JPY", "JPY=", "JPY=much", "YEN=150000", "JPY=999.99", "JPY=-5"]
)
def test_an_invalid_currency_threshold_is_refused_by_name(
    orders: Database, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    wiring.ports.cache_clear()
    monkeypatch.setenv("HIGH_VALUE_THRESHOLDS", setting)
    with pytest.raises(InvalidSettings, match=f"HIGH_VALUE_THRESHOLDS: '{setting}' is not"):
        wiring.ports()


@pytest.mark.parametrize("threshold", ["0", "-1", "9.995", "NaN", "much"])
def test_an_invalid_threshold_is_refused_by_name(
    orders: Database, monkeypatch: pytest.MonkeyPatch, threshold: str
) -> None:
    monkeypatch.setenv("HIGH_VALUE_THRESHOLD", threshold)
    with pytest.raises(InvalidSettings, match="HIGH_VALUE_THRESHOLD: "):
        wiring.ports()
