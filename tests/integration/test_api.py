"""The HTTP API on SQLite, called with API Gateway events (payload format 2.0)."""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kernel.order_record import Entry, Message
from kernel.order_status import ShipmentStatus, Status
from orders import change_requests, usecases, wiring
from orders.handlers.api import handler
from tests.fakes.events import ADDRESS, detail, envelope, read
from tests.strategies import nested

CONTEXT = cast("Any", SimpleNamespace(function_name="api", aws_request_id="r-1"))
OPERATOR = {"jwt": {"claims": {"scope": "orders/operate"}, "scopes": None}}
"""The authorizer's context of the local user."""

NEW = detail(order_id=..., timestamp=..., total=...)
"""The mandatory fields of an order over HTTP."""


@dataclass(frozen=True)
class Answer:
    """An answer of the API."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def problem(self) -> tuple[int, str | None, str]:
        """Status, field and detail of a problem document, which is otherwise in order."""
        assert self.headers["Content-Type"] == "application/problem+json"
        assert self.body["type"] == "about:blank"
        assert self.body["status"] == self.status
        assert self.body["title"]
        assert set(self.body) <= {"type", "title", "status", "detail", "field", "errors"}
        if "errors" in self.body:
            assert self.body["errors"][0]["field"] == self.body["field"]
        return self.status, self.body.get("field"), self.body["detail"]


class Api:
    """A client of the API."""

    def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        encoded: bool = False,
    ) -> Answer:
        event: dict[str, Any] = {
            "version": "2.0",
            "routeKey": f"{method} {path}",
            "rawPath": path,
            "rawQueryString": "",
            "headers": {"content-type": "application/json", **(headers or {})},
            "requestContext": {
                "http": {"method": method, "path": path},
                "stage": "$default",
                "authorizer": OPERATOR,
            },
            "isBase64Encoded": encoded,
        }
        if query is not None:
            event["queryStringParameters"] = dict(query)
        if body is not None:
            event["body"] = body if isinstance(body, str) else json.dumps(body)
        answer = handler(event, CONTEXT)
        return Answer(answer["statusCode"], json.loads(answer["body"]), answer["headers"])

    def place(self, **fields: Any) -> Answer:
        return self("POST", "/orders", {**NEW, **fields})


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("STORE_URL", f"sqlite:///{tmp_path}/orders.db")
    wiring.ports.cache_clear()
    yield Api()
    wiring.ports.cache_clear()


def outbox() -> list[Message]:
    store = cast("Any", wiring.ports().store)
    rows = store.database.rows("select kind, body from outbox order by id")
    return [Message(row["kind"], json.loads(row["body"])) for row in rows]


def become(order_id: str, **fields: Any) -> None:
    """Set these fields of an order."""
    store = wiring.ports().store
    change = store.read(order_id).change()
    store.save(change._replace(fields={**change.fields, **fields}))


# ---- place


def test_the_api_reports_its_health(api: Api) -> None:
    assert api("GET", "/health") == Answer(
        200, {"status": "ok"}, {"Content-Type": "application/json"}
    )


def test_an_order_is_placed_with_an_id_a_time_and_a_total_of_its_own(api: Api) -> None:
    answer = api.place(email="ada@example.com", shipping_address=ADDRESS)
    order_id = answer.body["order_id"]
    assert answer.status == 201
    assert answer.headers["Location"] == f"/orders/{order_id}"
    assert answer.body.pop("placed_at")
    assert answer.body.pop("updated_at")
    assert answer.body == {
        "order_id": order_id,
        "customer_id": "C-42",
        "status": "RECEIVED",
        "currency": "EUR",
        "total": 37.0,
        "items": [
            {"sku": "TEA", "quantity": 2, "unit_price": 12.5},
            {"sku": "CUP", "quantity": 1, "unit_price": 12.0},
        ],
        "shipping_address": {**ADDRESS, "region": None, "postal_code": None},
        "email": "ada@example.com",
        "cancel_requested": False,
        "tracking_number": None,
    }


def test_null_is_absent(api: Api) -> None:
    left_out = dict.fromkeys(("order_id", "timestamp", "total", "email", "shipping_address"))
    answer = api("POST", "/orders", {**NEW, **left_out, "payment_token": None, "metadata": None})
    assert (answer.status, answer.body["total"]) == (201, 37.0)
    for name in ("customer_id", "currency", "items"):
        assert api("POST", "/orders", {**NEW, name: None}).problem[:2] == (422, name)


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED, Status.WAITING])
@pytest.mark.parametrize("first", ["tok_decline", None])
def test_an_order_with_another_token_is_a_conflict(
    api: Api, status: Status, first: str | None
) -> None:
    """A retry is the same order; a new card needs a new order, and the error says so."""
    key = {"idempotency-key": "k1"}
    body = {**NEW, "payment_token": first} if first else NEW
    placed = api("POST", "/orders", body, headers=key)
    order_id = placed.body["order_id"]
    if status is not Status.WAITING:
        claimed = usecases.claim({"resume": {"order_id": order_id}}, "run-1", wiring.ports())
        if status is Status.CANCELLED:
            usecases.cancel(order_id, None, None, wiring.ports())
        step = {"Error": "PaymentDeclined", "Cause": "refused"}
        held = usecases.compensate(order_id, claimed.epoch, step, "run-1", wiring.ports())
        assert usecases.fail(order_id, held.epoch, wiring.ports()) is status
    again = api("POST", "/orders", body, headers=key)
    assert (again.status, again.body["order_id"]) == (200, order_id)
    other = {**NEW, "payment_token": "tok_visa"}
    assert api("POST", "/orders", other, headers=key).problem[:2] == (409, "Idempotency-Key")
    named = api("POST", "/orders", {**other, "order_id": order_id})
    assert named.problem[:2] == (409, None)
    assert "a new payment is a new order: use another order_id" in named.problem[2]
    kept = wiring.ports().store.read(order_id).payment_token
    assert kept is None or status is Status.WAITING or "tok_decline" not in kept


def test_a_completed_order_is_returned_for_any_token(api: Api) -> None:
    api.place(order_id="A-1", payment_token="tok_visa")
    become("A-1", status=Status.COMPLETED, payment_token=None)
    for token in ("tok_visa", "tok_other"):
        assert api.place(order_id="A-1", payment_token=token).status == 200


def test_a_placed_order_is_on_the_bus(api: Api) -> None:
    answer = api.place(payment_token="tok_visa")
    [message] = outbox()
    event = read(message.body)
    assert event.name == "Order Created"
    assert event.detail.order_id == answer.body["order_id"]
    assert event.detail.total == 3700
    assert event.detail.payment_token == "tok_visa"


def test_values_in_the_request_are_not_replaced(api: Api) -> None:
    answer = api.place(order_id="A-1", timestamp="2026-01-31T12:00:00Z", total=37)
    assert (answer.body["order_id"], answer.body["placed_at"]) == ("A-1", "2026-01-31T12:00:00Z")
    event = read(outbox()[0].body)
    assert event.detail.timestamp == "2026-01-31T12:00:00Z"


def test_an_orders_json_has_no_payment_token(api: Api) -> None:
    answer = api.place(order_id="A-1", payment_token="tok_secret")
    assert "tok_secret" not in json.dumps([answer.body, api("GET", "/orders/A-1").body])


def test_an_order_placed_again_is_the_same_order(api: Api) -> None:
    first, again = (api.place(order_id="A-1") for _ in range(2))
    assert (first.status, again.status) == (201, 200)
    assert first.body == again.body
    assert again.headers["Location"] == "/orders/A-1"
    assert len(outbox()) == 1


def test_an_idempotency_key_makes_a_retry_the_same_order(api: Api) -> None:
    answers = [
        api("POST", "/orders", NEW, headers={name: key})
        for name, key in (
            ("idempotency-key", "k-1"),
            ("Idempotency-Key", "k-1"),
            ("idempotency-key", "k-2"),
        )
    ]
    assert [answer.status for answer in answers] == [201, 200, 201]
    first, again, other = (answer.body["order_id"] for answer in answers)
    assert first == again != other


def test_without_a_key_every_order_is_a_new_one(api: Api) -> None:
    ids = {api.place().body["order_id"] for _ in range(3)}
    assert len(ids) == 3


def test_an_order_id_with_other_content_is_a_conflict(api: Api) -> None:
    api.place(order_id="A-1")
    assert api.place(order_id="A-1", customer_id="C-43").problem == (
        409,
        None,
        "order A-1 exists with other content; use another order_id",
    )


# ---- bad input

LINE = {"sku": "TEA", "quantity": 1, "unit_price": 1}


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ({"items": []}, "items", "has no entry; send at least one"),
        ({"items": "TEA"}, "items", "is not a list; send one"),
        ({"items": None}, "items", "is not a list; send one"),
        ({"items": [{**LINE, "quantity": 0}]}, "items[0].quantity", "0: input should be greater"),
        ({"items": [{**LINE, "quantity": 1.5}]}, "items[0].quantity", "1.5 is not a whole number"),
        ({"items": [{**LINE, "quantity": "1"}]}, "items[0].quantity", "'1' is not a whole number"),
        ({"items": [{"sku": "TEA", "quantity": 1}]}, "items[0].unit_price", "is missing; send it"),
        ({"items": [{**LINE, "unit_price": 1.005}]}, "items[0].unit_price", "more than two dec"),
        ({"items": [{**LINE, "sku": "a b"}]}, "items[0].sku", "use letters"),
        ({"items": [LINE] * 99}, "items", "has 99 entries; at most 98 are taken"),
        ({"items": [LINE] * 10_000}, "body", "bytes; at most 262144 fit in an event"),
        ({"total": 36.99}, "total", "36.99 is not the sum of the lines, which is 37.00"),
        ({"total": 37.001}, "total", "37.001 has more than two decimals"),
        ({"total": "37"}, "total", "'37' is not a number"),
        ({"total": -37}, "total", "-37 is negative"),
        ({"currency": "XXX"}, "currency", "'XXX' is not a supported ISO 4217 code"),
        ({"customer_id": 5}, "customer_id", "is not text"),
        ({"order_id": "a b"}, "order_id", "use letters"),
        ({"order_id": 7}, "order_id", "is not text"),
        ({"timestamp": "today"}, "timestamp", "is not an RFC 3339 time"),
        ({"email": "ada"}, "email", "is not an e-mail address"),
        ({"shipping_address": {"name": "Ada"}}, "shipping_address.street", "is missing"),
        ({"metadata": {"schema_version": "2.0"}}, "metadata.schema_version", "2.0 is newer"),
        ({"total": 10**300}, "total", "larger than"),
        (
            {"items": [{**LINE, "quantity": 10**300, "unit_price": 1.5}]},
            "items[0].quantity",
            "less than or equal",
        ),
        (
            {"items": [{**LINE, "quantity": "x" * 1000, "unit_price": 10**15}]},
            "items[0].quantity",
            "is not a whole number",
        ),
    ],
)
def test_invalid_input_is_answered_with_its_field_and_writes_nothing(
    api: Api, fields: dict[str, Any], field: str, problem: str
) -> None:
    status, named, problem_text = api.place(**fields).problem
    assert (status, named) == (422, field)
    assert problem_text.startswith(f"{field}: ")
    assert problem in problem_text
    assert outbox() == []


def test_every_problem_of_a_request_is_in_its_answer(api: Api) -> None:
    answer = api.place(customer_id=5, currency="XXX", email="ada")
    assert answer.problem[:2] == (422, "customer_id")
    assert [each["field"] for each in answer.body["errors"]] == ["customer_id", "currency", "email"]
    assert all(each["detail"] for each in answer.body["errors"])


def test_an_answer_has_a_hundred_problems_at_most(api: Api) -> None:
    answer = api.place(items=[{}] * 60)
    assert len(answer.body["errors"]) == 100
    assert "(and 179 more)" in answer.body["detail"]


def test_an_order_with_the_maximum_number_of_lines_is_accepted(api: Api) -> None:
    assert api.place(items=[LINE] * 98).body["total"] == 98.0


def test_unknown_fields_are_ignored(api: Api) -> None:
    assert api.place(gift=True, items=[{**LINE, "colour": "green"}]).status == 201


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("{order", "body: is not JSON ("),
        ("", "body: is not JSON ("),
        (None, "body: is not JSON ("),
        ('{"total": NaN}', "body: is not JSON ("),
        ('{"total": 1e400}', "body: is not JSON ("),
        (f'{{"total": {10**400}}}', "body: is not JSON ("),
        ('{"order_id": "\\ud800"}', "body: is not JSON ("),
        (nested(1_001, '{"a":'), "body: is not JSON (is nested deeper than 1000 levels)"),
        ('{"items": [{"quantity": ' + "9" * 400 + "}]}", "body: is not JSON ("),
        ('{"email": "\\ud800@example.com"}', "body: is not JSON ("),
        ("[1]", "body: is not a JSON object; send one"),
        ('"text"', "body: is not a JSON object; send one"),
        ("[" * 100_000, "body: is not JSON"),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/orders"), ("PATCH", "/orders/A-1")])
def test_a_body_that_is_not_a_json_object_is_a_bad_request(
    api: Api, method: str, path: str, body: str | None, problem: str
) -> None:
    status, field, problem_text = api(method, path, body).problem
    assert (status, field) == (400, "body")
    assert problem_text.startswith(problem)


def test_a_base64_body_of_api_gateway_is_read(api: Api) -> None:
    text = base64.b64encode(json.dumps({**NEW, "order_id": "A-1"}).encode()).decode()
    assert api("POST", "/orders", text, encoded=True).status == 201


def test_a_binary_body_is_a_bad_request(api: Api) -> None:
    picture = base64.b64encode(b"\x89PNG\xff\xfe").decode()
    status, field, _ = api("POST", "/orders", picture, encoded=True).problem
    assert (status, field) == (400, "body")


@pytest.mark.parametrize(("size", "status"), [(262_144, 201), (262_145, 422)])
def test_a_body_over_the_size_limit_is_refused_with_size_and_limit(
    api: Api, size: int, status: int
) -> None:
    body = json.dumps({**NEW, "gift": ""})
    answer = api("POST", "/orders", body.replace('""', f'"{"x" * (size - len(body))}"'))
    assert answer.status == status
    if status == 422:
        problem_text = "body: has 262145 bytes; at most 262144 fit in an event"
        assert answer.problem == (422, "body", problem_text)


def test_size_is_counted_in_bytes(api: Api) -> None:
    body = json.dumps({**NEW, "gift": "\N{WHITE SMILING FACE}" * 100_000}, ensure_ascii=False)
    assert api("POST", "/orders", body).status == 422


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nowhere"), ("PUT", "/orders/A-1"), ("DELETE", "/orders/A-1"), ("GET", "/orders/")],
)
def test_an_unknown_path_is_not_found(api: Api, method: str, path: str) -> None:
    problem_text = f"{method} {path} does not exist; see /orders"
    assert api(method, path).problem == (404, None, problem_text)


# ---- read


def test_an_order_is_read_as_it_was_placed(api: Api) -> None:
    placed = api.place(order_id="A-1")
    read_again = api("GET", "/orders/A-1")
    assert (read_again.status, read_again.body) == (200, placed.body)


def test_a_failed_order_has_its_failure(api: Api) -> None:
    api.place(order_id="A-1")
    become("A-1", status=Status.FAILED, failure="OutOfStock", failure_message="TEA: 2 ordered")
    body = api("GET", "/orders/A-1").body
    assert body["status"] == "FAILED"
    assert body["failure"] == {"reason": "OutOfStock", "message": "TEA: 2 ordered"}


def test_a_shipped_order_has_its_tracking_number(api: Api) -> None:
    api.place(order_id="A-1")
    become("A-1", status=Status.COMPLETED, tracking_number="SBX1")
    body = api("GET", "/orders/A-1").body
    assert (body["status"], body["tracking_number"]) == ("COMPLETED", "SBX1")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/orders/A-9", None),
        ("PATCH", "/orders/A-9", {"email": "ada@example.com"}),
        ("POST", "/orders/A-9/cancel", None),
    ],
)
def test_an_unknown_order_is_not_found(api: Api, method: str, path: str, body: Any) -> None:
    assert api(method, path, body).problem == (404, None, "no order has the id 'A-9'")


# ---- list


def test_a_customers_orders_are_listed_page_by_page(api: Api) -> None:
    for n in range(5):
        api.place(order_id=f"A-{n}")
    api.place(order_id="B-1", customer_id="C-43")
    seen: list[str] = []
    pages: list[int] = []
    after: dict[str, str] = {}
    while True:
        answer = api("GET", "/orders", query={"customer_id": "C-42", "limit": "2", **after})
        assert answer.status == 200
        seen += [one["order_id"] for one in answer.body["orders"]]
        pages.append(len(answer.body["orders"]))
        if answer.body["next"] is None:
            break
        after = {"after": answer.body["next"]}
    assert (seen, pages) == (["A-4", "A-3", "A-2", "A-1", "A-0"], [2, 2, 1])


def test_a_full_page_without_further_orders_is_the_last(api: Api) -> None:
    for n in range(2):
        api.place(order_id=f"A-{n}")
    body = api("GET", "/orders", query={"customer_id": "C-42", "limit": "2"}).body
    assert (len(body["orders"]), body["next"]) == (2, None)


def test_without_a_limit_a_page_has_twenty(api: Api) -> None:
    for n in range(21):
        api.place(order_id=f"A-{n}")
    assert len(api("GET", "/orders", query={"customer_id": "C-42"}).body["orders"]) == 20


def test_a_customer_without_orders_has_an_empty_list(api: Api) -> None:
    body = api("GET", "/orders", query={"customer_id": "C-9"}).body
    assert body == {"orders": [], "next": None}


@pytest.mark.parametrize("query", [None, {}, {"customer_id": ""}])
def test_a_list_without_a_customer_is_refused(api: Api, query: dict[str, str] | None) -> None:
    problem_text = "customer_id: is missing; send the customer whose orders to list"
    assert api("GET", "/orders", query=query).problem == (422, "customer_id", problem_text)


@pytest.mark.parametrize(
    "limit",
    [
        "0",
        "-1",
        "101",
        "ten",
        "1.5",
        "9" * 5000,
    ],
)
def test_a_page_has_from_1_to_100_orders(api: Api, limit: str) -> None:
    answer = api("GET", "/orders", query={"customer_id": "C-42", "limit": limit})
    assert answer.problem[:2] == (422, "limit")
    for within in ("1", "100"):
        assert api("GET", "/orders", query={"customer_id": "C-42", "limit": within}).status == 200


def test_a_page_after_an_unknown_order_is_refused(api: Api) -> None:
    api.place(order_id="A-1")
    answer = api("GET", "/orders", query={"customer_id": "C-42", "after": "A-9"})
    assert answer.problem[:2] == (422, "after")


@pytest.mark.parametrize("name", ["status", "Customer_id", "customerId", "x" * 500])
def test_an_unknown_parameter_is_refused_by_name(api: Api, name: str) -> None:
    answer = api("GET", "/orders", query={"customer_id": "C-42", name: "FAILED"})
    assert answer.problem[:2] == (422, name[:80])
    assert "known are customer_id, limit, after" in answer.problem[2]


def test_an_empty_parameter_is_absent(api: Api) -> None:
    api.place(order_id="A-1")
    plain = api("GET", "/orders", query={"customer_id": "C-42"})
    assert api("GET", "/orders", query={"customer_id": "C-42", "after": "", "limit": ""}) == plain


def test_a_page_after_another_customers_order_is_refused_as_after_none(api: Api) -> None:
    api.place(order_id="A-1")
    api.place(order_id="B-1", customer_id="C-43")
    problem_text = [
        api("GET", "/orders", query={"customer_id": "C-42", "after": after}).problem
        for after in ("B-1", "B-9")
    ]
    assert problem_text[0] == (*problem_text[1][:2], problem_text[1][2].replace("B-9", "B-1"))
    assert problem_text[0][:2] == (422, "after")


# ---- change


def test_address_and_email_of_an_order_are_changed(api: Api) -> None:
    api.place(order_id="A-1", email="ada@example.com", shipping_address=ADDRESS)
    changed = api("PATCH", "/orders/A-1", {"shipping_address": {**ADDRESS, "city": "Wells"}})
    assert changed.status == 200
    assert changed.body["shipping_address"]["city"] == "Wells"
    assert changed.body["email"] == "ada@example.com"
    assert api("PATCH", "/orders/A-1", {"email": "bob@example.com"}).body == (
        api("GET", "/orders/A-1").body
    )
    assert api("GET", "/orders/A-1").body["email"] == "bob@example.com"


def test_the_order_id_in_the_path_wins(api: Api) -> None:
    for order_id in ("A-1", "A-2"):
        api.place(order_id=order_id, email="ada@example.com")
    api("PATCH", "/orders/A-1", {"order_id": "A-2", "email": "bob@example.com"})
    assert api("GET", "/orders/A-2").body["email"] == "ada@example.com"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "email"),
        ({"total": 5}, "email"),
        ({"email": "bob"}, "email"),
        ({"shipping_address": {**ADDRESS, "street": ""}}, "shipping_address.street"),
    ],
)
def test_an_invalid_change_is_refused(api: Api, body: dict[str, Any], field: str) -> None:
    api.place(order_id="A-1")
    assert api("PATCH", "/orders/A-1", body).problem[:2] == (422, field)


def test_a_bad_address_is_one_problem(api: Api) -> None:
    api.place(order_id="A-1")
    body = {"shipping_address": {**ADDRESS, "street": ""}}
    assert "more)" not in api("PATCH", "/orders/A-1", body).problem[2]


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"status": Status.COMPLETED}, "COMPLETED"),
        ({"shipment": ShipmentStatus.CREATED}, "shipped"),
    ],
)
def test_a_late_change_is_a_conflict(api: Api, fields: dict[str, Any], state: str) -> None:
    api.place(order_id="A-1")
    become("A-1", **fields)
    answer = api("PATCH", "/orders/A-1", {"email": "bob@example.com"})
    assert answer.problem == (409, None, f"order A-1 is {state} already")


@pytest.mark.parametrize("way", ["PATCH", "cancel"])
def test_order_id_and_time_in_a_body_are_ignored(api: Api, way: str) -> None:
    for order_id in ("A-1", "A-2"):
        api.place(order_id=order_id, email="ada@example.com")
    reserved = {"order_id": "A-2", "timestamp": "2099-01-01T00:00:00Z"}
    for wrong in (reserved, {"order_id": 7, "timestamp": "yesterday"}):
        if way == "PATCH":
            answer = api("PATCH", "/orders/A-1", {**wrong, "email": "bob@example.com"})
        else:
            answer = api("POST", "/orders/A-1/cancel", wrong)
        assert answer.status in (200, 202)
        assert answer.body["order_id"] == "A-1"
    other = api("GET", "/orders/A-2").body
    assert (other["email"], other["cancel_requested"]) == ("ada@example.com", False)
    assert api("PATCH", "/orders/A-1", {"email": "eve@example.com"}).status == 200
    assert api("GET", "/orders/A-1").body["email"] == "eve@example.com"
    as_of = wiring.ports().store.read("A-1").email_as_of
    assert as_of is not None
    assert as_of < "2099"


def test_a_change_over_http_is_the_latest_even_if_a_clock_was_ahead(api: Api) -> None:
    api.place(order_id="A-1")
    ahead = envelope("Order Updated", email="typo@example.com", timestamp="2099-01-01T00:00:00Z")
    change_requests.apply_request(ahead, wiring.ports())
    assert api("PATCH", "/orders/A-1", {"email": "ada@example.com"}).status == 200
    assert api("GET", "/orders/A-1").body["email"] == "ada@example.com"


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.CHARGED])
def test_an_unmailable_address_can_be_corrected_after_the_shipment(
    api: Api, status: Status
) -> None:
    api.place(order_id="A-1", email="typo@example.com", shipping_address=ADDRESS)
    become("A-1", status=status, shipment=ShipmentStatus.CREATED)
    store, right = wiring.ports().store, {"email": "ada@example.com"}
    assert api("PATCH", "/orders/A-1", right).status == 409
    store.note("A-1", Entry("CONFIRMATION_FAILED", 1.0, {"reason": "bounced"}))
    assert api("PATCH", "/orders/A-1", {**right, "shipping_address": ADDRESS}).status == 409
    assert api("PATCH", "/orders/A-1", right).body["email"] == "ada@example.com"
    store.note("A-1", Entry("CONFIRMATION_SENT", 2.0))
    assert api("PATCH", "/orders/A-1", {"email": "eve@example.com"}).status == 409
    assert api("GET", "/orders/A-1").body["email"] == "ada@example.com"


def test_the_address_of_a_compensated_order_cannot_be_corrected(api: Api) -> None:
    api.place(order_id="A-1", email="typo@example.com")
    become("A-1", status=Status.FAILED)
    wiring.ports().store.note("A-1", Entry("CONFIRMATION_FAILED", 1.0))
    assert api("PATCH", "/orders/A-1", {"email": "ada@example.com"}).status == 409


# ---- cancel


def test_a_cancellation_is_accepted_and_a_run_is_started_for_it(api: Api) -> None:
    api.place(order_id="A-1")
    answer = api("POST", "/orders/A-1/cancel", {"reason": "cheaper elsewhere"})
    assert (answer.status, answer.body["cancel_requested"]) == (202, True)
    assert wiring.ports().store.read("A-1").cancel_reason == "cheaper elsewhere"
    assert [message.kind for message in outbox()] == ["event", "run"]
    again = api("POST", "/orders/A-1/cancel")
    assert (again.status, again.body) == (202, answer.body)
    assert len(outbox()) == 2


def test_an_order_that_a_run_holds_is_cancelled_by_that_run(api: Api) -> None:
    api.place(order_id="A-1")
    usecases.claim({"resume": {"order_id": "A-1"}}, "run-1", wiring.ports())
    assert api("POST", "/orders/A-1/cancel").status == 202
    assert [message.kind for message in outbox()] == ["event"]


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"status": Status.COMPLETED}, "COMPLETED"),
        ({"status": Status.FAILED}, "FAILED"),
        ({"shipment": ShipmentStatus.CREATED}, "shipped"),
    ],
)
def test_a_late_cancellation_is_a_conflict(api: Api, fields: dict[str, Any], state: str) -> None:
    api.place(order_id="A-1")
    become("A-1", **fields)
    answer = api("POST", "/orders/A-1/cancel")
    assert answer.problem == (409, None, f"order A-1 is {state} already")
    assert not api("GET", "/orders/A-1").body["cancel_requested"]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [("no", 400, "body"), ("[]", 400, "body"), ({"reason": "r" * 501}, 422, "reason")],
)
def test_an_invalid_reason_is_refused(api: Api, body: Any, status: int, field: str) -> None:
    api.place(order_id="A-1")
    assert api("POST", "/orders/A-1/cancel", body).problem[:2] == (status, field)
