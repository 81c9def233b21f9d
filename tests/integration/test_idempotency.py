"""Idempotency keys over HTTP, on SQLite and DynamoDB: one key of a sender is one order."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar, cast
from uuid import uuid5

import pytest

from kernel.idempotency import NAMESPACE
from kernel.order_record import OrderRecord
from orders import change_requests, idempotent_placement, usecases, wiring
from orders.handlers.api import handler
from orders.idempotency_key import MAX_LENGTH, Key, fingerprint
from orders.store import SQLiteKeys, SQLiteOrders
from storage.dynamodb import table as tables
from storage.sqlite.database import Database
from tests.fakes.events import created, detail, envelope
from tests.integration.dynamo_stores import OneAtATime, create, moto

CONTEXT = cast("Any", SimpleNamespace(function_name="api", aws_request_id="r-1"))
NEW = detail(order_id=..., timestamp=..., total=...)
LOCAL = ""
T = TypeVar("T")


class Answer(NamedTuple):
    status: int
    body: Any


def post(
    body: Mapping[str, Any] | str, key: str | None = None, sender: str = LOCAL, **claims: str
) -> Answer:
    """Place an order with an API Gateway's event; every user except the local one has a token."""
    context: dict[str, Any] = {"http": {"method": "POST", "path": "/orders"}, "stage": "$default"}
    token = {
        "scope": "orders/operate orders/write",
        **({"sub": sender} if sender else {}),
        **claims,
    }
    context["authorizer"] = {"jwt": {"claims": token, "scopes": ["orders/write"]}}
    event = {
        "version": "2.0",
        "routeKey": "POST /orders",
        "rawPath": "/orders",
        "rawQueryString": "",
        "headers": {} if key is None else {"idempotency-key": key},
        "requestContext": context,
        "isBase64Encoded": False,
        "body": body if isinstance(body, str) else json.dumps(body),
    }
    answer = handler(event, CONTEXT)
    return Answer(answer["statusCode"], json.loads(answer["body"]))


@pytest.fixture(scope="module")
def aws() -> Iterator[OneAtATime]:
    with moto() as client:
        yield client


@pytest.fixture(params=["sqlite", "dynamodb"], autouse=True)
def _store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    url = f"sqlite:///{tmp_path}/orders.db"
    if request.param == "dynamodb":
        table = create(request.getfixturevalue("aws"))
        url = f"dynamodb://{table.name}"
        monkeypatch.setattr(tables, "table", lambda _: table)
    monkeypatch.setenv("STORE_URL", url)
    wiring.ports.cache_clear()
    yield request.param
    wiring.ports.cache_clear()


# ---- the same body is the same order


@pytest.mark.parametrize("body", [NEW, {**NEW, "order_id": "A-1"}])
def test_a_retry_with_its_key_is_the_same_order(body: dict[str, Any]) -> None:
    first, again, third = (post(body, "k-1") for _ in range(3))
    assert (first.status, again.status, third.status) == (201, 200, 200)
    assert first.body == again.body == third.body


def test_a_retry_may_have_its_fields_in_another_order() -> None:
    assert post(NEW, "k-1").status == 201
    assert post(dict(reversed(NEW.items())), "k-1").status == 200
    assert post(json.dumps(NEW, indent=2), "k-1").status == 200


def test_another_key_is_another_order() -> None:
    first, other = post(NEW, "k-1"), post(NEW, "k-2")
    assert (first.status, other.status) == (201, 201)
    assert first.body["order_id"] != other.body["order_id"]


def test_the_order_of_a_key_is_returned_in_its_current_state() -> None:
    placed = post(NEW, "k-1").body
    store = wiring.ports().store
    record = store.read(placed["order_id"])
    store.save(record.change(cancel_requested=True))
    assert post(NEW, "k-1").body["cancel_requested"] is True


# ---- another body is a conflict

CHANGES = {
    "another customer": {"customer_id": "C-43"},
    "an order id": {"order_id": "A-2"},
    "a time": {"timestamp": "2026-01-31T12:00:00Z"},
    "a total": {"total": 37},
    "another token": {"payment_token": "tok_other"},
    "a field that is not known": {"gift": True},
    "a correlation id": {"metadata": {"correlation_id": "c-1"}},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("body", [NEW, {**NEW, "order_id": "A-1"}], ids=["unnamed", "named"])
def test_another_body_with_a_known_key_is_a_conflict_that_names_the_key(
    body: dict[str, Any], change: dict[str, Any]
) -> None:
    first = post(body, "k-1")
    other = post({**body, **change}, "k-1")
    assert (first.status, other.status) == (201, 409)
    assert other.body["field"] == "Idempotency-Key"
    detail = "Idempotency-Key: 'k-1' was sent with another body; a new order needs a new key"
    assert other.body["detail"] == detail
    assert wiring.ports().store.find("A-2") is None


def test_a_body_with_the_derived_order_id_is_another_body() -> None:
    placed = post(NEW, "k-1").body
    assert post({**NEW, "order_id": placed["order_id"]}, "k-1").status == 409


def test_a_body_without_the_first_bodys_order_id_is_another_body() -> None:
    assert post({**NEW, "order_id": "A-1"}, "k-1").status == 201
    assert post(NEW, "k-1").status == 409


# ---- a key belongs to its sender


@pytest.mark.parametrize(
    ("one", "other"), [("shop", "app"), (LOCAL, "shop"), ("a|b", "a"), ("1", "11")]
)
def test_two_senders_with_one_key_have_two_orders(one: str, other: str) -> None:
    first = post(NEW, "k-1", one)
    second = post({**NEW, "customer_id": "C-43"}, "k-1", other)
    assert (first.status, second.status) == (201, 201)
    assert first.body["order_id"] != second.body["order_id"]
    assert post(NEW, "k-1", one).body == first.body


def test_senders_whose_names_and_keys_concatenate_equally_have_two_orders() -> None:
    first, second = post(NEW, "b|c", "a"), post(NEW, "c", "a|b")
    assert (first.status, second.status) == (201, 201)


def test_a_client_without_a_subject_is_known_by_its_id() -> None:
    assert post(NEW, "k-1", client_id="one").status == 201
    assert post(NEW, "k-1", client_id="two").status == 201
    assert post(NEW, "k-1", client_id="one").status == 200


# ---- existing keys and orders


def test_a_key_with_the_id_of_an_existing_order_is_stored_for_that_order() -> None:
    body = {**NEW, "order_id": "A-1"}
    assert post(body).status == 201
    assert post(body, "k-1").status == 200
    assert post({**body, "gift": True}, "k-1").status == 409
    assert post(NEW, "k-1").status == 409


def test_a_key_with_the_id_of_another_order_is_a_conflict_and_stays_free() -> None:
    assert post({**NEW, "order_id": "A-1"}).status == 201
    other = post({**NEW, "order_id": "A-1", "customer_id": "C-43"}, "k-1")
    assert (other.status, other.body.get("field")) == (409, None)
    assert post(NEW, "k-1").status == 201


def test_an_order_placed_with_a_key_by_an_earlier_version_is_found() -> None:
    order_id = str(uuid5(NAMESPACE, "key|k-1"))  # derived from the key, which was not kept
    assert post({**NEW, "order_id": order_id}).status == 201
    assert post(NEW, "k-1").body["order_id"] == order_id
    other = post({**NEW, "customer_id": "C-43"}, "k-1")
    assert (other.status, other.body["field"]) == (409, "Idempotency-Key")


# ---- the key in the metadata


def keyed(key: object, **fields: Any) -> dict[str, Any]:
    """Return a body whose metadata has this key."""
    return {**NEW, **fields, "metadata": {"idempotency_key": key}}


def test_a_key_in_the_metadata_is_used_without_a_header() -> None:
    first, again = post(keyed("m-1")), post(keyed("m-1"))
    assert (first.status, again.status) == (201, 200)
    other = post(keyed("m-1", customer_id="C-43"))
    assert (other.status, other.body["field"]) == (409, "metadata.idempotency_key")


def test_header_and_metadata_are_one_key() -> None:
    assert post(keyed("k-1"), "k-1").status == 201
    assert post(keyed("k-1")).status == 200
    assert post(NEW, "k-1").status == 200


def test_header_and_metadata_that_differ_are_refused() -> None:
    answer = post(keyed("m-1"), "k-1")
    assert (answer.status, answer.body["field"]) == (422, "metadata.idempotency_key")
    assert "differs from the header Idempotency-Key" in answer.body["detail"]
    assert post(keyed(None), "k-1").status == 201


# ---- invalid keys


@pytest.mark.parametrize(
    ("text", "problem"), [("", "is empty"), ("x" * (MAX_LENGTH + 1), "has 256 characters")]
)
def test_an_invalid_key_is_refused_by_its_field(text: str, problem: str) -> None:
    for answer, field in (
        (post(NEW, text), "Idempotency-Key"),
        (post(keyed(text)), "metadata.idempotency_key"),
    ):
        assert (answer.status, answer.body["field"]) == (422, field)
        assert problem in answer.body["detail"]
        assert "send from 1 to 255" in answer.body["detail"]


@pytest.mark.parametrize("text", ["x" * MAX_LENGTH, "a b", "é\"'", "a,b", "../x", "0"])
def test_any_other_text_is_a_key(text: str) -> None:
    assert post(NEW, text).status == 201
    assert post(NEW, text).status == 200


def test_a_key_that_is_not_text_is_refused_by_the_contract() -> None:
    answer = post(keyed(5))
    assert (answer.status, answer.body["field"]) == (422, "metadata.idempotency_key")


def test_a_refused_body_does_not_use_its_key() -> None:
    assert post({**NEW, "items": []}, "k-1").status == 422
    assert post(NEW, "k-1").status == 201


def test_the_fingerprint_follows_from_the_requests_content() -> None:
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint({"a": [1, 2]}) != fingerprint({"a": [2, 1]})
    assert fingerprint({"a": 1}) != fingerprint({"a": "1"})


# ---- concurrent requests


@pytest.fixture
def opened(tmp_path: Path, _store: str) -> Callable[[], usecases.Ports]:
    """Open new ports, like another process."""
    if _store == "dynamodb":
        return wiring.ports

    def ports() -> usecases.Ports:
        database = Database(str(tmp_path / "orders.db"))
        return replace(wiring.ports(), store=SQLiteOrders(database), keys=SQLiteKeys(database))

    return ports


def at_once(tasks: Sequence[Callable[[], T]]) -> list[T | Exception]:
    """Run tasks concurrently; return the result or the error of each."""
    barrier = threading.Barrier(len(tasks))

    def run(task: Callable[[], T]) -> T | Exception:
        barrier.wait()
        try:
            return task()
        except Exception as error:  # noqa: BLE001 - looked at by the test
            return error

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(run, tasks))


@pytest.mark.parametrize("named", [True, False])
def test_one_of_several_concurrent_requests_with_one_key_places_the_order(
    opened: Callable[[], usecases.Ports], *, named: bool
) -> None:
    def task(number: int) -> Callable[[], tuple[OrderRecord, bool]]:
        ports = opened()
        event = created(order_id="A-1" if named else f"A-{number}")
        return lambda: idempotent_placement.place(
            event, Key("shop", "k-1", "same"), ports, "Idempotency-Key"
        )

    wiring.ports()
    results = at_once([task(number) for number in range(8)])
    placed = [one for one in results if not isinstance(one, Exception)]
    assert len(placed) == 8, results
    assert sorted(new for _, new in placed) == [False] * 7 + [True]
    assert len({record.order_id for record, _ in placed}) == 1


def test_one_of_two_concurrent_bodies_with_one_key_is_a_conflict(
    opened: Callable[[], usecases.Ports],
) -> None:
    def task(number: int) -> Callable[[], tuple[OrderRecord, bool]]:
        ports = opened()
        event, key = created(order_id=f"A-{number % 2}"), Key("shop", "k-1", str(number % 2))
        return lambda: idempotent_placement.place(event, key, ports, "Idempotency-Key")

    wiring.ports()
    results = at_once([task(number) for number in range(8)])
    conflicts = [one for one in results if isinstance(one, idempotent_placement.KeyConflict)]
    placed = [one for one in results if not isinstance(one, Exception)]
    assert (len(placed), len(conflicts)) == (4, 4), results
    assert len({record.order_id for record, _ in placed}) == 1


# ---- early requests


def test_an_order_with_an_early_cancellation_is_placed_with_its_key_and_cancelled() -> None:
    change_requests.apply_request(envelope("Order Cancelled", order_id="K-1"), wiring.ports())
    body = {**NEW, "order_id": "K-1"}
    assert [post(body, "k").status for _ in range(2)] == [201, 200]
    assert wiring.ports().store.read("K-1").cancel_requested
    assert post({**body, "order_id": "K-2"}, "k").status == 409
