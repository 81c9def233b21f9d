"""Access to orders over the HTTP API: each route, each kind of caller."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import pytest

from infra.local.directory.schema import JOURNAL
from infra.local.template.loader import Template
from infra.local.template.project import TEMPLATE
from orders import wiring
from orders.handlers.api import handler
from storage.sqlite.database import Database
from tests.fakes.events import ADDRESS, detail, envelope

CONTEXT = cast("Any", SimpleNamespace(function_name="api", aws_request_id="r-1"))
ADA = {"sub": "ada", "scope": "orders/read orders/write", "customer_id": "C-42"}
BOB = {**ADA, "sub": "bob", "customer_id": "C-43"}
OPERATOR = {"sub": "shop", "scope": "orders/read orders/write orders/operate"}
NOBODY = {"sub": "cron", "scope": "orders/read orders/write"}


class Call(NamedTuple):
    """A request about ADA's order A-1, or for a new one."""

    method: str
    path: str
    body: Any = None
    query: dict[str, str] | None = None


ROUTES = {
    "POST /orders": Call("POST", "/orders", detail(order_id=None, timestamp=..., total=...)),
    "GET /orders": Call("GET", "/orders", query={"customer_id": "C-42"}),
    "GET /orders/{order_id}": Call("GET", "/orders/A-1"),
    "PATCH /orders/{order_id}": Call(
        "PATCH", "/orders/A-1", {"shipping_address": {**ADDRESS, "city": "Leeds"}}
    ),
    "POST /orders/{order_id}/cancel": Call("POST", "/orders/A-1/cancel"),
    "GET /orders/{order_id}/events": Call("GET", "/orders/A-1/events"),
    "GET /events/{event_id}": Call("GET", "/events/of-ada"),
}
FOREIGN = {"POST /orders": 403, "GET /orders": 403}
"""Statuses of a request that names another customer; another customer's order does not exist."""


def ask(call: Call, claims: dict[str, str] | None) -> tuple[int, Any]:
    """Return status and body of the answer to a caller; without claims, no gateway was asked."""
    context: dict[str, Any] = {"http": {"method": call.method, "path": call.path}}
    if claims is not None:
        context["authorizer"] = {"jwt": {"claims": claims, "scopes": None}}
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": f"{call.method} {call.path}",
        "rawPath": call.path,
        "headers": {},
        "requestContext": {**context, "stage": "$default"},
        "isBase64Encoded": False,
        "body": None if call.body is None else json.dumps(call.body),
    }
    if call.query is not None:
        event["queryStringParameters"] = call.query
    answer = handler(event, CONTEXT)
    return answer["statusCode"], json.loads(answer["body"])


@pytest.fixture(autouse=True)
def _order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Place ADA's order A-1."""
    monkeypatch.setenv("STORE_URL", f"sqlite:///{tmp_path}/orders.db")
    for one in (wiring.ports, wiring.customer_claim):
        one.cache_clear()
    first = Call("POST", "/orders", detail(order_id="A-1", timestamp=..., total=...))
    assert ask(first, OPERATOR)[0] == 201
    database: Database = cast("Any", wiring.ports().store).database
    database.define(JOURNAL)
    event = {**envelope(), "id": "of-ada"}
    with database.write() as connection:
        row = (1, "of-ada", "Order Created", "A-1", json.dumps(event), 1.0, 1)
        connection.execute("insert into events values (?, ?, ?, ?, ?, ?, ?)", row)
    yield
    for one in (wiring.ports, wiring.customer_claim):
        one.cache_clear()


def present() -> tuple[Any, Any]:
    store = wiring.ports().store
    return store.read("A-1"), [
        record
        for customer_id in ("C-42", "C-43")
        for record in store.by_customer(customer_id, 10, None)
    ]


@pytest.mark.parametrize("claims", [ADA, OPERATOR], ids=["the customer", "an operator"])
@pytest.mark.parametrize("route", ROUTES)
def test_a_customer_and_an_operator_reach_the_customers_orders(
    route: str, claims: dict[str, str]
) -> None:
    assert ask(ROUTES[route], claims)[0] in (200, 201, 202)


@pytest.mark.parametrize("route", ROUTES)
def test_another_customer_sees_and_changes_nothing(route: str) -> None:
    before = present()
    status, problem = ask(ROUTES[route], BOB)
    assert status == FOREIGN.get(route, 404)
    assert problem.get("field") == ("customer_id" if status == 403 else None)
    assert "C-42" not in json.dumps(problem)
    assert present() == before


@pytest.mark.parametrize("claims", [NOBODY, None], ids=["no customer", "no gateway"])
@pytest.mark.parametrize("route", ROUTES)
def test_a_caller_without_customer_and_operators_scope_is_refused(
    route: str, claims: dict[str, str] | None
) -> None:
    before = present()
    status, problem = ask(ROUTES[route], claims)
    assert (status, problem["title"]) == (403, "Forbidden")
    assert present() == before


@pytest.mark.parametrize("route", [one for one in ROUTES if "order_id" in one])
def test_another_customers_order_looks_like_one_that_does_not_exist(route: str) -> None:
    method, path, body, query = ROUTES[route]
    missing = ask(Call(method, path.replace("A-1", "A-9"), body, query), BOB)
    foreign = ask(ROUTES[route], BOB)
    assert json.loads(json.dumps(foreign).replace("A-1", "A-9")) == json.loads(json.dumps(missing))


@pytest.mark.parametrize("claims", [ADA, BOB], ids=["the customer", "another customer"])
def test_a_customer_learns_of_no_order_by_placing_one_under_its_id(claims: dict[str, str]) -> None:
    own: dict[str, Any] = {"customer_id": claims["customer_id"], "timestamp": ..., "total": ...}
    before = present()
    taken, free = (
        ask(Call("POST", "/orders", detail(order_id=name, **own)), claims)
        for name in ("A-1", "A-9")
    )
    assert taken == free
    assert (taken[0], taken[1]["field"]) == (403, "order_id")
    assert present() == before


@pytest.mark.parametrize("verb", ["approve", "reject"])
@pytest.mark.parametrize("claims", [ADA, BOB, NOBODY, None])
def test_an_operator_alone_decides(verb: str, claims: dict[str, str] | None) -> None:
    before = present()
    assert ask(Call("POST", f"/orders/A-1/{verb}"), claims)[0] == 403
    assert present() == before
    assert ask(Call("POST", f"/orders/A-1/{verb}"), OPERATOR)[0] == 409, "it awaits no decision"


def test_an_operator_learns_that_an_order_id_is_taken() -> None:
    other = detail(order_id="A-1", customer_id="C-43", timestamp=..., total=...)
    assert ask(Call("POST", "/orders", other), OPERATOR)[0] == 409


def test_a_page_begins_after_an_order_of_the_same_customer_only() -> None:
    listed = Call("GET", "/orders", query={"customer_id": "C-43", "after": "A-1"})
    assert ask(listed, BOB)[0] == 422


def test_the_health_needs_no_token() -> None:
    assert ask(Call("GET", "/health"), None) == (200, {"status": "ok"})


def test_each_route_of_the_template_is_tested() -> None:
    template = Template(TEMPLATE, {}, lambda _, __: {})
    events = template.resources["OrdersApiFunction"]["Properties"]["Events"].values()
    routes = {f"{one['Properties']['Method']} {one['Properties']['Path']}" for one in events}
    decisions = {"POST /orders/{order_id}/approve", "POST /orders/{order_id}/reject"}
    pages = {"GET /approvals/{order_id}", "POST /approvals/{order_id}"}
    # `test_approvals.py` has the callers of these
    assert routes - {"GET /health"} - decisions - pages == set(ROUTES)
