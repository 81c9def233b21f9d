"""The error boundary of a request: an exception becomes its response, and affects no other."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.local.engine.engine import Engine
from infra.local.template.stack import Cors, Route, Stack
from infra.local.workers.invocations import Result
from infra.server.access import Access, Admission
from infra.server.aws_api import LOOKUPS, TESTS
from infra.server.http import LONG_BODY, MAX_THREADS, Application
from infra.server.log import PortLog
from infra.server.reply import SAFE
from infra.server.tokens import OPERATE, Caller, Tokens
from storage.sqlite.database import Database
from tests.unit.server.requests import PORT, scope

if TYPE_CHECKING:
    from infra.server.aws_api import AwsApi

SHOP = "https://shop.example"
PUT = ("X-Amz-Target", "AWSEvents.PutEvents")
TOKEN = "t" * 40


class Answer(NamedTuple):
    """A response to a client."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Port:
    """The port of an engine whose one function a test replaces."""

    def __init__(
        self, folder: Path, cors: Cors | None = None, tokens: Tokens | None = None
    ) -> None:
        routes = [
            Route("GET", "/health", "Api", public=True),
            Route("POST", "/orders", "Api", ("orders/write",)),
        ]
        self.events: list[Any] = []
        self.function: Callable[[Any], Any] = lambda _: {"statusCode": 200, "body": "done"}
        engine = SimpleNamespace(stack=Stack(routes=routes), call_function=self._call)
        self.database = Database(str(folder / "reader.db"))
        self.log = folder / "orderflow.log"
        access = Access(PORT, cors, Admission(tokens=tokens))
        self.application = Application(
            cast("Engine", engine), self.database, access, PortLog(self.log)
        )

    def _call(self, _: str, event: Any, *, takes_orders: bool) -> "Future[Result]":
        self.events.append(event)
        future: Future[Result] = Future()
        future.set_result(self.function(event))
        return future

    def replace_operations(self, operation: Callable[[], Any]) -> None:
        """Replace every AWS operation."""
        self.application.api = cast(
            "AwsApi", SimpleNamespace(answer=lambda target, body: operation())
        )

    def ask(self, *arguments: Any, body: bytes = b"", **options: Any) -> Answer:
        return asyncio.run(self.ask_async(*arguments, body=body, **options))

    async def ask_async(self, *arguments: Any, body: bytes = b"", **options: Any) -> Answer:
        pieces = [{"type": "http.request", "body": body}]
        return await self.converse(scope(*arguments, **options), pieces)

    async def converse(self, scope: dict[str, Any], pieces: list[dict[str, Any]]) -> Answer:
        """Return the response to a request whose body arrives in pieces."""
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return pieces.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        await self.application(scope, receive, send)
        if not sent:
            return Answer(0, {}, b"")
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], headers, sent[1]["body"])

    def logged(self) -> list[Any]:
        """Return the lines of the log."""
        text = self.log.read_text() if self.log.exists() else ""
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Port]:
    opened = Port(tmp_path, Cors(origins=(SHOP,), methods=("POST",)))
    yield opened
    opened.application.close()
    opened.database.close()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Port]:
    tokens = Tokens({TOKEN: Caller("shop", frozenset({"orders/write", OPERATE}))})
    opened = Port(tmp_path, Cors(origins=(SHOP,), methods=("POST",)), tokens)
    yield opened
    opened.application.close()
    opened.database.close()


def result(payload: Any = None, error: dict[str, Any] | None = None) -> Result:
    return Result(1, payload, error, [], 0.1)


def breaks() -> Any:
    raise KeyError("secret")


# ---- access, on every route and method

EVERYWHERE = [
    ("GET", "/health"),
    ("POST", "/orders"),
    ("OPTIONS", "/orders"),
    ("DELETE", "/orders"),
    ("GET", "/nothing"),
    ("HEAD", "/health"),
    ("POST", "/"),
]


@pytest.mark.parametrize(("method", "path"), EVERYWHERE)
def test_another_host_is_refused_on_every_route(port: Port, method: str, path: str) -> None:
    answer = port.ask(method, path, host="evil.example")
    assert answer.status == 421
    assert answer.json["status"] == 421
    assert not any(name.startswith("access-control") for name in answer.headers)
    assert port.events == []


@pytest.mark.parametrize("operation", ["AWSEvents.PutEvents", "Orderflow.RedriveDeadLetters"])
def test_another_host_reaches_no_operation(port: Port, operation: str) -> None:
    port.replace_operations(lambda: pytest.fail("it was called"))
    answer = port.ask("POST", "/", ("X-Amz-Target", operation), host="evil.example:8080")
    assert (answer.status, answer.json["__type"]) == (421, "AccessDeniedException")


@pytest.mark.parametrize("origin", ["http://evil.example", SHOP, "null"])
def test_a_page_of_another_site_reaches_no_operation(port: Port, origin: str) -> None:
    port.replace_operations(lambda: pytest.fail("it was called"))
    answer = port.ask("POST", "/", PUT, ("Origin", origin))
    assert (answer.status, answer.json["__type"]) == (403, "AccessDeniedException")


def test_a_page_of_an_allowed_origin_may_place_an_order_and_read_the_response(port: Port) -> None:
    port.function = lambda _: result({"statusCode": 201, "body": "made"})
    method = ("Access-Control-Request-Method", "POST")
    preflight = port.ask("OPTIONS", "/orders", ("Origin", SHOP), method)
    assert (preflight.status, preflight.body) == (204, b"")
    assert preflight.headers["access-control-allow-methods"] == "POST"
    assert "content-length" not in preflight.headers
    answer = port.ask("POST", "/orders", ("Origin", SHOP), ("Sec-Fetch-Site", "cross-site"))
    assert answer.status == 201
    assert answer.headers["access-control-allow-origin"] == SHOP
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"


def test_a_page_of_another_origin_is_refused(port: Port) -> None:
    method = ("Access-Control-Request-Method", "POST")
    preflight = port.ask("OPTIONS", "/orders", ("Origin", "http://evil.example"), method)
    assert preflight.status == 204
    assert not any(name.startswith("access-control") for name in preflight.headers)
    assert port.ask("POST", "/orders", ("Origin", "http://evil.example")).status == 403
    assert port.events == []


@pytest.mark.parametrize("path", ["/", "/nothing"])
def test_a_preflight_without_a_route_has_no_cors_headers(port: Port, path: str) -> None:
    method = ("Access-Control-Request-Method", "POST")
    answer = port.ask("OPTIONS", path, ("Origin", SHOP), method)
    assert answer.status == 404
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_a_token_is_checked_before_the_function_is_called(guarded: Port) -> None:
    refused = guarded.ask("POST", "/orders")
    assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert guarded.events == []
    guarded.function = lambda _: result({"statusCode": 201, "body": ""})
    assert guarded.ask("POST", "/orders", ("Authorization", f"Bearer {TOKEN}")).status == 201
    [event] = guarded.events
    assert event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"] == "shop"


def test_a_preflight_and_a_public_route_need_no_token(guarded: Port) -> None:
    method = ("Access-Control-Request-Method", "POST")
    assert guarded.ask("OPTIONS", "/orders", ("Origin", SHOP), method).status == 204
    guarded.function = lambda _: result({"statusCode": 200, "body": "ok"})
    assert guarded.ask("GET", "/health").status == 200


def test_an_operation_needs_the_operators_token(guarded: Port) -> None:
    guarded.replace_operations(lambda: {"done": True})
    refused = guarded.ask("POST", "/", PUT)
    code = "MissingAuthenticationTokenException"
    assert (refused.status, refused.json["__type"]) == (403, code)
    assert guarded.ask("POST", "/", PUT, ("X-Amz-Security-Token", TOKEN)).json == {"done": True}


@pytest.mark.parametrize(("method", "path"), EVERYWHERE)
@pytest.mark.parametrize("host", ["localhost:8080", "evil.example"])
def test_every_response_has_the_safe_headers(port: Port, method: str, path: str, host: str) -> None:
    port.function = lambda _: result({"statusCode": 200, "body": ""})
    answer = port.ask(method, path, host=host)
    assert SAFE.items() <= answer.headers.items()


def test_a_function_may_set_a_safe_header_itself(port: Port) -> None:
    headers = {"Cache-Control": "max-age=60"}
    port.function = lambda _: result({"statusCode": 200, "headers": headers})
    assert port.ask("GET", "/health").headers["cache-control"] == "max-age=60"


# ---- failures


def test_a_function_that_cannot_be_called_is_a_500_and_is_logged_with_the_id(port: Port) -> None:
    port.function = lambda _: breaks()
    answer = port.ask("GET", "/health")
    assert (answer.status, answer.headers["content-type"]) == (500, "application/problem+json")
    assert b"secret" not in answer.body
    [line] = port.logged()
    assert (line["level"], line["message"]) == ("ERROR", "GET /health failed")
    assert line["request_id"] == answer.headers["apigw-requestid"]
    assert line["request_id"] in answer.json["detail"]
    assert line["exception_name"] == "KeyError"
    assert "in breaks" in line["exception"]
    port.function = lambda _: result({"statusCode": 200, "body": "ok"})
    assert port.ask("GET", "/health").status == 200


def test_the_error_of_a_function_is_logged(port: Port) -> None:
    port.function = lambda _: result(
        error={"errorType": "Sandbox.Timedout", "errorMessage": "late"}
    )
    answer = port.ask("POST", "/orders")
    assert answer.status == 500
    [line] = port.logged()
    assert line["request_id"] == answer.headers["apigw-requestid"]
    assert line["error"]["errorType"] == "Sandbox.Timedout"


@pytest.mark.parametrize(
    "payload", [{"statusCode": "x"}, {"statusCode": 200, "headers": {"a": "\r\n"}}]
)
def test_a_malformed_answer_is_a_500(port: Port, payload: Any) -> None:
    port.function = lambda _: result(payload)
    assert port.ask("GET", "/health").status == 500
    assert port.logged()[0]["exception_name"] == "MalformedAnswer"


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("operation", ["AWSEvents.PutEvents", *sorted(LOOKUPS)])
def test_an_operation_that_fails_is_an_internal_failure(
    port: Port, operation: str, *, later: bool
) -> None:
    def fails() -> Any:
        if not later:
            breaks()
        future: Future[Any] = Future()
        future.set_exception(KeyError("secret"))
        return future

    port.replace_operations(fails)
    answer = port.ask("POST", "/", ("X-Amz-Target", operation))
    assert (answer.status, answer.json["__type"]) == (500, "InternalFailure")
    assert b"secret" not in answer.body
    [line] = port.logged()
    assert line["request_id"] == answer.headers["x-amzn-requestid"]
    assert "KeyError" in line["exception"]
    port.replace_operations(lambda: {"done": True})
    assert port.ask("POST", "/", PUT).json == {"done": True}


def test_an_answer_that_is_not_json_is_an_internal_failure(port: Port) -> None:
    port.replace_operations(lambda: {"when": object()})
    assert port.ask("POST", "/", PUT).status == 500


def test_an_integer_beyond_64_bits_is_in_the_response(port: Port) -> None:
    port.replace_operations(lambda: {"number": 2**70})
    assert port.ask("POST", "/", PUT).json == {"number": 2**70}


def test_a_log_that_cannot_be_written_does_not_change_the_response(port: Port) -> None:
    port.log.mkdir()
    port.function = lambda _: breaks()
    assert port.ask("GET", "/health").status == 500


def test_a_cancelled_request_is_a_503(port: Port) -> None:
    never: Future[Any] = Future()
    port.replace_operations(lambda: never)

    async def cancelled() -> Answer:
        task = asyncio.create_task(port.ask_async("POST", "/", PUT))
        await asyncio.sleep(0.01)
        task.cancel()
        return await task

    assert asyncio.run(cancelled()).status == 503
    assert port.application.active == 0


@pytest.mark.parametrize("sent", [[], [{"type": "http.request", "body": b"{", "more_body": True}]])
def test_an_incomplete_request_is_not_processed(port: Port, sent: list[Any]) -> None:
    pieces = [*sent, {"type": "http.disconnect"}]
    assert asyncio.run(port.converse(scope("POST", "/orders"), pieces)).status == 0
    assert port.events == []
    assert port.application.active == 0


NAMES = st.sampled_from(
    ["host", "origin", "sec-fetch-site", "x-amz-target", "cookie", "authorization", "content-type"]
)
PIECES = st.sampled_from(
    ["localhost:8080", "http://localhost:8080", SHOP, "null", "same-origin", "AWSEvents.PutEvents"]
)
VALUES = PIECES | st.text(st.characters(max_codepoint=255), max_size=20)


@given(
    st.sampled_from(["GET", "POST", "PATCH", "OPTIONS", "HEAD", "DELETE", "ODD"]),
    st.sampled_from(["/", "/orders", "/health", "/nothing", "*", "//"]),
    st.lists(st.tuples(NAMES, VALUES), max_size=4),
    st.binary(max_size=20),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_request_is_answered_and_calls_the_function_only_with_an_own_host(
    port: Port,
    method: str,
    path: str,
    headers: list[tuple[str, str]],
    body: bytes,
) -> None:
    port.replace_operations(dict)
    port.function = lambda _: result({"statusCode": 200, "body": ""})
    port.events.clear()
    hosts = [value for name, value in headers if name == "host"]
    own = None if hosts else "localhost:8080"
    answer = port.ask(method, path, *headers, body=body, host=own)
    assert 200 <= answer.status < 500
    assert SAFE.keys() <= answer.headers.keys()
    if port.events:
        assert [host.strip(" \t").lower() for host in hosts] in ([], ["localhost:8080"])


# ---- slow requests


@pytest.mark.parametrize("operation", sorted(LOOKUPS))
def test_a_long_lookup_delays_no_other_request(port: Port, operation: str) -> None:
    released = threading.Event()

    def slow_operation() -> Any:
        assert released.wait(10)
        return {"done": True}

    port.replace_operations(slow_operation)
    port.function = lambda _: result({"statusCode": 200, "body": "ok"})

    async def both() -> tuple[Answer, float, Answer]:
        slow = asyncio.create_task(port.ask_async("POST", "/", ("X-Amz-Target", operation)))
        await asyncio.sleep(0.01)
        started = time.monotonic()
        health = await port.ask_async("GET", "/health")
        waited = time.monotonic() - started
        released.set()
        return health, waited, await slow

    health, waited, slow = asyncio.run(both())
    assert (health.status, slow.json) == (200, {"done": True})
    assert waited < 5


@pytest.mark.parametrize("tested", sorted(TESTS))
def test_a_long_test_delays_no_lookup(port: Port, tested: str) -> None:
    released = threading.Event()
    matching = threading.Semaphore(0)

    def answers(target: str, _: bytes) -> Any:
        if target == tested:
            matching.release()
            assert released.wait(10)
        return {"target": target}

    port.application.api = cast("AwsApi", SimpleNamespace(answer=answers))

    async def concurrently() -> list[Answer]:
        slow = [
            asyncio.create_task(port.ask_async("POST", "/", ("X-Amz-Target", tested)))
            for _ in range(2 * MAX_THREADS)
        ]
        while not matching.acquire(blocking=False):  # noqa: ASYNC110 - a thread releases it
            await asyncio.sleep(0.001)
        lookup = ("X-Amz-Target", "AWSStepFunctions.ListExecutions")
        quick = await asyncio.wait_for(port.ask_async("POST", "/", lookup), 5)
        released.set()
        return [quick, *await asyncio.gather(*slow)]

    assert [answer.status for answer in asyncio.run(concurrently())] == [200] * (
        1 + 2 * MAX_THREADS
    )


@pytest.mark.parametrize(("size", "in_thread"), [(LONG_BODY, False), (LONG_BODY + 1, True)])
def test_a_long_body_is_parsed_in_a_thread(port: Port, size: int, *, in_thread: bool) -> None:
    threads: list[str] = []

    def operation() -> dict[str, Any]:
        threads.append(threading.current_thread().name)
        return {}

    port.replace_operations(operation)
    port.ask("POST", "/", PUT, body=b" " * size)
    assert [name.startswith("port") for name in threads] == [in_thread]
