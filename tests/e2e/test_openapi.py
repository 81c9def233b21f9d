"""The OpenAPI document has the API's routes; requests outside its schemas are answered too."""

from typing import Any

import pytest

from infra.contracts.openapi import MAX_PAGE
from infra.local.template.loader import Template
from infra.local.template.project import TEMPLATE
from orders.handlers import api
from tests.e2e.conftest import DOCUMENT
from tests.fakes.serving import Served


def test_the_document_has_the_routes_of_the_template_and_the_limits_of_the_api() -> None:
    template = Template(TEMPLATE, {}, lambda _, __: {})
    events = template.resources["OrdersApiFunction"]["Properties"]["Events"].values()
    routes = {(one["Properties"]["Path"], one["Properties"]["Method"].lower()) for one in events}
    operations = {
        (path, method)
        for path, methods in DOCUMENT["paths"].items()
        for method in methods.keys() - {"parameters"}
    }
    pages = {("/approvals/{order_id}", "get"), ("/approvals/{order_id}", "post")}  # for a person
    assert operations == routes - pages
    assert api.MAX_PAGE == MAX_PAGE


def undescribed() -> list[tuple[str, str, Any, dict[str, str]]]:
    """Return requests outside every schema."""
    return [
        ("GET", "/", None, {}),
        ("GET", "/orders/A-1001/", None, {}),
        ("DELETE", "/orders/A-1001", None, {}),
        ("GET", "/orders/%00", None, {}),
        ("GET", "/orders/%ff%fe", None, {}),
        ("GET", "/orders/..%2f..%2fetc", None, {}),
        ("GET", "/orders/" + "x" * 5_000, None, {}),
        ("GET", "/orders?customer_id=%00", None, {}),
        ("GET", "/orders?customer_id=C-42&customer_id=C-43&limit=1", None, {}),
        ("GET", "/orders?customer_id=C-42&limit=%D9%A3", None, {}),
        ("POST", "/orders", b"", {}),
        ("POST", "/orders", b"\xff\xfe", {}),
        ("POST", "/orders", b"[" * 100_000, {}),
        ("POST", "/orders", b'{"a":' * 100_000, {}),
        ("POST", "/orders", b"9" * 10_000, {}),
        ("POST", "/orders", b'{"total": 1e400, "items": [NaN]}', {}),
        ("POST", "/orders", b'{"order_id": "\\ud800"}', {}),
        ("POST", "/orders", b'{"items": {"length": 98}}', {}),
        ("POST", "/orders", {}, {"idempotency-key": "x" * 9_000}),
        ("POST", "/orders/A-1001/cancel", b'"why"', {}),
        ("POST", "/orders/A-1001/cancel", {"reason": "\ud800"}, {}),
        ("PATCH", "/orders/A-1001", {"email": "a@b.c\n"}, {}),
        ("POST", "/", b"{}", {"x-amz-target": "AWSEvents.PutEvents"}),
        ("POST", "/", b"[", {"x-amz-target": "AWSEvents.\xe9"}),
    ]


@pytest.mark.parametrize("request_", undescribed(), ids=lambda one: f"{one[0]} {one[1][:30]}")
def test_requests_outside_every_schema_are_answered_too(api_server: Served, request_: Any) -> None:
    method, path, body, headers = request_
    status, answer = api_server.ask(method, path, body, headers)
    assert status < 500
    assert isinstance(answer, dict)
