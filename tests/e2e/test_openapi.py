"""The HTTP API conforms to its OpenAPI document: schemathesis generates requests.

Whatever is asked, nothing ends in a 500 or a stack trace, and every refusal is a problem document.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from infra.contracts.folder import FOLDER, OPENAPI
from infra.contracts.openapi import MAX_PAGE, PROBLEM
from infra.local.platform import TEMPLATE
from infra.local.template.loader import Template
from orders.handlers import api
from tests.fakes.serving import Served

EXAMPLES = 25
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
]
DOCUMENT = json.loads((FOLDER / OPENAPI).read_text(encoding="utf-8"))

schema = schemathesis.openapi.from_dict(DOCUMENT)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a data directory with the order of the document's examples."""
    with Served(tmp_path_factory.mktemp("served") / "data") as server:
        media = DOCUMENT["paths"]["/orders"]["post"]["requestBody"]["content"]["application/json"]
        order = {**media["example"], "order_id": "A-1001", "customer_id": "C-42"}
        assert server.ask("POST", "/orders", order)[0] == 201
        yield server
        assert server.ask("GET", "/health") == (200, {"status": "ok"})


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_breaks_the_api(case: "schemathesis.Case[Any]", served: Served) -> None:
    response = case.call(base_url=served.address, timeout=30)
    case.validate_response(response, checks=CHECKS)
    assert "Traceback" not in response.text
    if response.status_code >= 400:
        assert response.headers["content-type"] == [PROBLEM]
        assert response.json()["status"] == response.status_code


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
def test_requests_outside_every_schema_are_answered_too(served: Served, request_: Any) -> None:
    method, path, body, headers = request_
    status, answer = served.ask(method, path, body, headers)
    assert status < 500
    assert isinstance(answer, dict)
