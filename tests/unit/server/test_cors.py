"""CORS headers, as in API Gateway's HTTP API."""

import pytest

from infra.local.template.stack import Cors
from infra.server.cors import with_cors_headers
from infra.server.reply import Reply
from tests.unit.server.requests import request

SHOP = "https://shop.example"
CORS = Cors(
    origins=(SHOP,),
    methods=("GET", "POST"),
    headers=("content-type", "idempotency-key"),
    exposed=("location", "date"),
    max_age=3600,
)
ASKS = ("Access-Control-Request-Method", "POST")


def cors_headers(method: str, *headers: tuple[str, str], cors: Cors = CORS) -> dict[str, str]:
    """Return the headers that CORS adds to a response."""
    return dict(with_cors_headers(cors, request(method, "/orders", *headers), Reply(200)).headers)


def test_a_preflight_of_an_allowed_origin_has_the_methods_and_headers() -> None:
    assert cors_headers("OPTIONS", ("Origin", SHOP), ASKS) == {
        "vary": "origin",
        "access-control-allow-origin": SHOP,
        "access-control-allow-methods": "GET,POST",
        "access-control-allow-headers": "content-type,idempotency-key",
        "access-control-max-age": "3600",
        "cross-origin-resource-policy": "cross-origin",
    }


def test_a_response_to_an_allowed_origin_has_the_exposed_headers() -> None:
    assert cors_headers("POST", ("Origin", SHOP)) == {
        "vary": "origin",
        "access-control-allow-origin": SHOP,
        "access-control-expose-headers": "location,date",
        "cross-origin-resource-policy": "cross-origin",
    }


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "https://shop.example.evil", "https://shop.example:8443", "null"],
)
@pytest.mark.parametrize("headers", [(), (ASKS,)])
def test_any_other_origin_gets_no_cors_headers(
    origin: str, headers: tuple[tuple[str, str], ...]
) -> None:
    method = "OPTIONS" if headers else "GET"
    assert cors_headers(method, ("Origin", origin), *headers) == {"vary": "origin"}


def test_a_request_without_an_origin_gets_no_cors_headers() -> None:
    assert cors_headers("GET") == cors_headers("OPTIONS", ASKS) == {"vary": "origin"}


def test_all_origins_are_allowed_with_a_star() -> None:
    headers = cors_headers("GET", ("Origin", "http://any.example"), cors=Cors(origins=("*",)))
    assert headers["access-control-allow-origin"] == "*"
    assert "vary" not in headers


def test_credentials_are_allowed_with_the_origin_itself() -> None:
    cors = Cors(origins=("https://*",), credentials=True)
    headers = cors_headers("GET", ("Origin", SHOP), cors=cors)
    assert headers["access-control-allow-origin"] == SHOP
    assert headers["access-control-allow-credentials"] == "true"


def test_absent_fields_have_no_header() -> None:
    headers = cors_headers("OPTIONS", ("Origin", SHOP), ASKS, cors=Cors(origins=(SHOP,)))
    assert [name for name in headers if name.startswith("access-control")] == [
        "access-control-allow-origin"
    ]


def test_a_functions_own_cors_headers_are_replaced() -> None:
    reply = Reply(200, (("access-control-allow-origin", "*"), ("location", "/orders/1")))
    response = with_cors_headers(
        CORS, request("GET", "/orders", ("Origin", "http://evil.example")), reply
    )
    assert response.headers == (("location", "/orders/1"), ("vary", "origin"))
