"""Malformed requests of strangers: each has a response, and none logs an error.

Two logged errors roll back a gradual deployment of the whole stack, and anybody may send a request.
"""

import base64
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from infra.console.hosted import function
from tests.fakes.api_gateway import context, event_of
from tests.fakes.hosted_console import HOST, URL, HostedBrowser, hosted
from tests.fakes.user_pool import UserPool
from tests.integration import deployed

NOTE = "/console/orders/O-1/note"
FORM = {
    "host": HOST,
    "origin": URL,
    "sec-fetch-site": "same-origin",
    "content-type": "application/x-www-form-urlencoded",
}


@pytest.fixture(scope="module")
def pool() -> Iterator[UserPool]:
    """Serve the console once: no request here changes anything."""
    with deployed.stack() as stack, hosted(stack) as opened:
        yield opened


@pytest.fixture(scope="module")
def cookie(pool: UserPool) -> str:
    """Return the cookie of an operator."""
    browser = HostedBrowser(pool)
    browser.sign_in("ada")
    [(name, value)] = browser.cookies.items()
    return f"{name}={value}"


def answered(event: Mapping[str, Any], caplog: pytest.LogCaptureFixture) -> int:
    """Return the status of a response; no error is logged for it."""
    caplog.clear()
    answer = function.handler(dict(event), context())
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert not errors, (event, errors)
    return int(answer["statusCode"])


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "CONNECT", "PUT", "DELETE", "FOO", "get"])
def test_another_method_does_nothing(cookie: str, method: str) -> None:
    event = event_of(method, NOTE, {**FORM, "cookie": cookie})

    answer = function.handler(event, context())

    assert (answer["statusCode"], answer["headers"]["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("//console/", 404),
        ("/console/%2e%2e/orders", 404),
        ("/console/static/../../console.py", 404),
        ("/console/static/%2e%2e/%2e%2e/console.py", 404),
        ("/console/static/%252e%252e%252fconsole.py", 404),
        ("/console/%00", 404),
        ("/console/live", 404),
        ("/console;/orders", 404),
        ("/console/orders/%FF%FE", 404),
        ("/console/contracts?key=any", 200),
        ("/console/orders?x=%FF&x=%00", 200),
        (f"/console/orders?{'x' * 9_000}", 200),
        ("*", 404),
    ],
)
def test_an_odd_path_is_no_other_page(
    cookie: str, caplog: pytest.LogCaptureFixture, path: str, status: int
) -> None:
    assert answered(event_of("GET", path, {**FORM, "cookie": cookie}), caplog) == status


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "a:b:c"},
        {"host": f"{HOST}:"},
        {"host": f"{HOST},{HOST}"},
        {"host": ""},
        {"host": "\u20ac"},
        {"host": HOST, "x-forwarded-port": "any"},
        {},
    ],
)
def test_a_malformed_header_is_refused(
    pool: UserPool, caplog: pytest.LogCaptureFixture, headers: dict[str, str]
) -> None:
    assert answered(event_of("GET", "/console/", headers), caplog) == 400


@pytest.mark.parametrize(
    ("body", "encoded", "status"),
    [
        ("abc", True, 400),
        ("\u20ac", True, 400),
        ("reason=\ud800", False, 400),
        (base64.b64encode(b"reason=\xff").decode(), True, 400),
        (base64.b64encode(b"a=1&" * 300).decode(), True, 400),
        (base64.b64encode(b"reason=" + b"x" * 5_000_000).decode(), True, 413),
        (None, False, 303),
        ("", True, 303),
    ],
)
def test_an_odd_body_is_refused(
    cookie: str, caplog: pytest.LogCaptureFixture, body: str | None, *, encoded: bool, status: int
) -> None:
    event = event_of("POST", NOTE, {**FORM, "cookie": cookie}, b"any")
    event |= {"body": body, "isBase64Encoded": encoded}

    assert answered(event, caplog) == status


@pytest.mark.parametrize(
    "event",
    [
        {},
        None,
        [],
        "text",
        {"Records": []},
        {"version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}},
        {"requestContext": {"routeKey": "$connect", "connectionId": "any"}},
        {"version": "2.0", "requestContext": {}},
        {"version": "2.0", "requestContext": {"http": None}},
        {"version": "1.0", "resource": "/", "path": "/console/", "httpMethod": "GET",
         "headers": FORM, "requestContext": {"identity": {"sourceIp": "127.0.0.1"}}},
        {"requestContext": {"elb": {"targetGroupArn": "any"}}, "httpMethod": "GET",
         "path": "/console/", "headers": FORM, "queryStringParameters": {}, "body": ""},
    ],
)  # fmt: skip
def test_an_event_of_another_source_is_refused(
    pool: UserPool, caplog: pytest.LogCaptureFixture, event: Any
) -> None:
    with pytest.raises(function.ForeignEvent, match="call the function through ConsoleApi"):
        function.handler(event, context())
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


DULL = {"method": "GET", "page": "", "rest": "", "query": {}, "headers": {}, "body": ""}
REQUESTS = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "HEAD", "POST"]),
        "page": st.sampled_from(["", "sign-in", "signed-in", "sign-out", "theme", "orders/"]),
        "rest": TEXT,
        "query": st.dictionaries(
            st.sampled_from(["to", "code", "state", "error", "notice", "q"]), TEXT
        ),
        "headers": st.dictionaries(
            st.sampled_from([*FORM, "cookie", "x-forwarded-proto", "hx-request"]), TEXT
        ),
        "body": TEXT,
    }
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(REQUESTS)
@example({**DULL, "page": "sign-in", "query": {"to": "//["}})
@example({**DULL, "method": "POST", "page": "theme", "body": "to=//["})
def test_no_request_of_a_stranger_logs_an_error(
    pool: UserPool, caplog: pytest.LogCaptureFixture, request_: dict[str, Any]
) -> None:
    target = f"/console/{request_['page']}{request_['rest'].replace('?', '')}"
    headers, body = {**FORM, **request_["headers"]}, request_["body"].encode()
    event = event_of(request_["method"], target, headers, body)
    event["rawQueryString"] = "&".join(f"{key}={text}" for key, text in request_["query"].items())

    assert answered(event, caplog) < 500
