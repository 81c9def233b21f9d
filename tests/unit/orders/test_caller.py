"""The caller of the HTTP API: the claims of an access token, as API Gateway passes them."""

from typing import Any

import pytest

from kernel.errors import NotPermitted
from orders.caller import Caller, caller_of

CLAIM = "customer_id"


def context(**claims: Any) -> dict[str, Any]:
    return {"authorizer": {"jwt": {"claims": claims, "scopes": ["orders/read"]}}}


@pytest.mark.parametrize(
    ("claims", "caller"),
    [
        ({"sub": "ada", CLAIM: "C-42"}, Caller("ada", "C-42")),
        ({"client_id": "app", CLAIM: "42"}, Caller("app", "42")),
        ({"sub": "ada", CLAIM: "C-42", "scope": "orders/read"}, Caller("ada", "C-42")),
        ({"sub": "shop", "scope": "orders/read orders/operate"}, Caller("shop", None)),
        ({"sub": "shop", "scope": "orders/operate", CLAIM: "C-42"}, Caller("shop", None)),
        ({"sub": "shop", "scp": "[orders/read orders/operate]"}, Caller("shop", None)),
        ({"sub": "ada", CLAIM: "C-42", "scope": "not-orders/operate"}, Caller("ada", "C-42")),
        ({"sub": "ada", CLAIM: "orders/operate"}, Caller("ada", "orders/operate")),
    ],
)
def test_a_caller_is_the_customer_of_the_claim_or_an_operator(
    claims: dict[str, str], caller: Caller
) -> None:
    assert caller_of(context(**claims), CLAIM) == caller


@pytest.mark.parametrize(
    "request_context",
    [
        {},
        {"authorizer": None},
        {"authorizer": {"jwt": {"claims": None}}},
        {"authorizer": {"iam": {"userId": "A"}}},
        context(),
        context(sub="ada", scope="orders/read orders/write"),
        context(sub="ada", customer_id=""),
        context(sub="ada", customer="C-42"),
        context(sub="ada", scope="orders/operate-not"),
        context(sub="orders/operate"),
    ],
)
def test_a_request_without_customer_and_operators_scope_is_refused(
    request_context: dict[str, Any],
) -> None:
    with pytest.raises(NotPermitted):
        caller_of(request_context, CLAIM)


def test_the_claim_is_a_setting() -> None:
    claims = context(sub="ada", customer_id="C-1", **{"https://shop.example.com/customer": "C-2"})
    assert caller_of(claims, "https://shop.example.com/customer").customer_id == "C-2"
