"""Payload format 2.0: the event of a request, and the response of a function's answer."""

import json
from typing import Any

import pytest

from infra.local.template.stack import Route
from infra.server.gateway import MalformedAnswer, event_of, reply_of
from infra.server.tokens import LOCAL_USER, Caller
from orders.caller import caller_of
from tests.unit.server.requests import request

ROUTE = Route("GET", "/orders", "Api", ("orders/read",))


def event(
    *headers: tuple[str, str], caller: Caller | None = None, **options: Any
) -> dict[str, Any]:
    """Return the event of a request with these headers."""
    return event_of(ROUTE, {}, request("GET", "/orders", *headers, **options), b"", caller)


def test_a_repeated_header_is_joined_by_commas_in_order() -> None:
    result = event(("Idempotency-Key", "a"), ("X-Other", "1"), ("idempotency-key", "b"))
    assert result["headers"]["idempotency-key"] == "a,b"
    assert result["headers"]["x-other"] == "1"


@pytest.mark.parametrize("padded", [" a", "a ", "\ta\t", "  a  "])
def test_white_space_around_a_value_is_removed(padded: str) -> None:
    assert event(("X-Key", padded))["headers"]["x-key"] == "a"
    assert event(("X-Key", f"{padded} b"))["headers"]["x-key"].split() == ["a", "b"]


def test_cookies_are_in_a_separate_list_and_in_no_header() -> None:
    result = event(("Cookie", "a=1; b=2;"), ("cookie", " c=3"))
    assert result["cookies"] == ["a=1", "b=2", "c=3"]
    assert "cookie" not in result["headers"]


def test_a_request_without_cookies_has_no_list() -> None:
    assert "cookies" not in event()


def test_a_repeated_query_parameter_is_joined_by_commas() -> None:
    result = event(query="x=1&x=2&y=")
    assert result["queryStringParameters"] == {"x": "1,2", "y": ""}


def test_the_holder_of_a_token_is_in_the_claims() -> None:
    claims = (("customer_id", "C-42"),)
    caller = Caller("shop", frozenset({"orders/write", "orders/read"}), claims)
    assert event(caller=caller)["requestContext"]["authorizer"] == {
        "jwt": {
            "claims": {"customer_id": "C-42", "sub": "shop", "scope": "orders/read orders/write"},
            "scopes": ["orders/read"],
        }
    }


def test_a_public_route_has_no_claims() -> None:
    assert "authorizer" not in event()["requestContext"]


def test_the_local_user_is_an_operator_without_a_subject() -> None:
    context = event(caller=LOCAL_USER)["requestContext"]
    assert caller_of(context, "customer_id") == ("", None)


# ---- answers


def test_an_answer_has_its_status_headers_cookies_and_body() -> None:
    reply = reply_of(
        {
            "statusCode": 201,
            "headers": {"Content-Type": "text/plain", "X-Number": 5, "X-Flag": True},
            "cookies": ["a=1; HttpOnly", "b=2"],
            "body": "made",
        }
    )
    assert (reply.status, reply.body) == (201, b"made")
    assert reply.headers == (
        ("content-type", "text/plain"),
        ("x-number", "5"),
        ("x-flag", "true"),
        ("set-cookie", "a=1; HttpOnly"),
        ("set-cookie", "b=2"),
    )


@pytest.mark.parametrize("answer", [{"made": True}, [1], "text", 5, None])
def test_an_answer_without_a_status_is_the_body_of_a_200(answer: Any) -> None:
    reply = reply_of(answer)
    assert (reply.status, json.loads(reply.body)) == (200, answer)
    assert reply.headers == (("content-type", "application/json"),)


def test_a_status_may_be_text_and_a_body_absent() -> None:
    reply = reply_of({"statusCode": "204"})
    assert (reply.status, reply.body) == (204, b"")


def test_a_body_without_a_type_is_plain_text() -> None:
    reply = reply_of({"statusCode": 200, "body": "<script>"})
    assert reply.headers == (("content-type", "text/plain; charset=utf-8"),)


def test_headers_of_the_connection_are_removed() -> None:
    headers = {"Content-Length": "1", "Connection": "close", "Transfer-Encoding": "chunked"}
    reply = reply_of({"statusCode": 200, "headers": headers, "body": "longer"})
    assert [name for name, _ in reply.headers] == ["content-type"]


@pytest.mark.parametrize(
    "answer",
    [
        {"statusCode": "many"},
        {"statusCode": None},
        {"statusCode": 99},
        {"statusCode": 100},
        {"statusCode": 600},
        {"statusCode": 200, "headers": ["a"]},
        {"statusCode": 200, "headers": {"a": "1\r\nset-cookie: b=2"}},
        {"statusCode": 200, "headers": {"a b": "1"}},
        {"statusCode": 200, "headers": {"": "1"}},
        {"statusCode": 200, "headers": {"a": {"b": 1}}},
        {"statusCode": 200, "headers": {"a": "\ud800"}},
        {"statusCode": 200, "cookies": "a=1"},
        {"statusCode": 200, "cookies": ["a=1\n"]},
        {"statusCode": 200, "body": {"a": 1}},
        {"statusCode": 200, "body": "\ud800"},
        {"statusCode": 200, "body": "no base64 é", "isBase64Encoded": True},
    ],
)
def test_an_invalid_answer_is_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(MalformedAnswer):
        reply_of(answer)
