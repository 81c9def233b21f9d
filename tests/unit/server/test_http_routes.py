"""The routes of the port: requests reach their function, and all others are refused."""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from infra.errors import InvalidRequest
from infra.local.engine.engine import Engine
from infra.local.template.stack import Route, Stack
from infra.local.workers.invocations import Result
from infra.server.access import Access, Admission
from infra.server.http import MAX_ACTIVE, MAX_BODY, Application
from infra.server.log import PortLog
from infra.server.server import ServerError, check_address
from storage.sqlite.database import Database

if TYPE_CHECKING:
    from infra.server.aws_api import AwsApi

ANSWER = {"statusCode": 201, "headers": {"Content-Type": "text/plain"}, "body": "made"}


class FakeEngine:
    """An engine whose one function gives the answer of a test."""

    def __init__(self) -> None:
        self.stack = Stack(
            routes=[
                Route("GET", "/health", "Api"),
                Route("POST", "/orders", "Api"),
                Route("GET", "/orders/{order_id}", "Api"),
                Route("POST", "/orders/{order_id}/cancel", "Api"),
            ]
        )
        self.replays: Any = SimpleNamespace(cancel=None, pause=None, go_on=None)
        self.events: list[Any] = []
        self.answer: Any = ANSWER
        self.error: dict[str, Any] | None = None

    def call_function(self, function: str, event: Any, **_: Any) -> "Future[Result]":
        assert function == "Api"
        self.events.append(event)
        future: Future[Result] = Future()
        future.set_result(Result(1, self.answer, self.error, [], 0.1))
        return future


class Port:
    """The application, with the requests of a client."""

    def __init__(self, folder: Path) -> None:
        self.engine = FakeEngine()
        self.database = Database(str(folder / "reader.db"))
        self.log = folder / "orderflow.log"
        engine = cast("Engine", self.engine)
        access = Access(8080, None, Admission())
        self.application = Application(engine, self.database, access, PortLog(self.log))

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        query: str = "",
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of the response."""
        pieces = [body[at : at + 65_536] for at in range(0, len(body), 65_536)] or [b""]
        sent: list[Any] = []
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "http_version": "1.1",
            "client": ("127.0.0.1", 5),
            "headers": [
                (name.lower().encode(), value.encode())
                for name, value in {"Host": "localhost:8080", **(headers or {})}.items()
            ],
        }

        async def receive() -> dict[str, Any]:
            piece = pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self.application(scope, receive, send))
        start, end = sent
        received = {name.decode(): value.decode() for name, value in start["headers"]}
        return start["status"], received, end["body"]


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Port]:
    opened = Port(tmp_path)
    yield opened
    opened.database.close()


# ---- routes


def test_a_request_reaches_its_function_in_payload_format_2(port: Port) -> None:
    port.ask(
        "POST",
        "/orders",
        b'{"a": 1}',
        {"Content-Type": "application/json", "Host": "127.0.0.1:8080", "User-Agent": "test"},
        "x=1&x=2&y=",
    )
    [event] = port.engine.events
    context = event["requestContext"]
    assert (event["version"], event["routeKey"]) == ("2.0", "POST /orders")
    assert (event["rawPath"], event["rawQueryString"]) == ("/orders", "x=1&x=2&y=")
    assert event["queryStringParameters"] == {"x": "1,2", "y": ""}
    assert event["headers"]["content-type"] == "application/json"
    assert (event["body"], event["isBase64Encoded"]) == ('{"a": 1}', False)
    assert context["http"] == {
        "method": "POST",
        "path": "/orders",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "test",
    }
    assert (context["domainName"], context["stage"]) == ("127.0.0.1:8080", "$default")


def test_a_functions_answer_is_the_response(port: Port) -> None:
    status, headers, body = port.ask("POST", "/orders")
    assert (status, body) == (201, b"made")
    assert (headers["content-type"], headers["content-length"]) == ("text/plain", "4")


def test_a_response_may_be_binary(port: Port) -> None:
    encoded = base64.b64encode(b"\x00\xff").decode()
    port.engine.answer = {"statusCode": 200, "body": encoded, "isBase64Encoded": True}
    assert port.ask("GET", "/health")[2] == b"\x00\xff"


def test_a_binary_body_is_encoded(port: Port) -> None:
    port.ask("POST", "/orders", b"\xff\xfe")
    [event] = port.engine.events
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == b"\xff\xfe"


def test_a_request_without_a_body_has_no_body(port: Port) -> None:
    port.ask("GET", "/health")
    assert port.engine.events[0]["body"] is None


@pytest.mark.parametrize(
    ("method", "path", "key", "parameters"),
    [
        ("GET", "/orders/A-1", "GET /orders/{order_id}", {"order_id": "A-1"}),
        ("POST", "/orders/A-1/cancel", "POST /orders/{order_id}/cancel", {"order_id": "A-1"}),
        ("GET", "/orders/a.b_c", "GET /orders/{order_id}", {"order_id": "a.b_c"}),
    ],
)
def test_a_path_may_have_parameters(
    port: Port, method: str, path: str, key: str, parameters: dict[str, str]
) -> None:
    port.ask(method, path)
    [event] = port.engine.events
    assert (event["routeKey"], event["pathParameters"]) == (key, parameters)


@pytest.mark.parametrize(
    "path", ["/nothing", "/", "/orders/", "/orders/a/b", "/healthy", "/x/health"]
)
def test_an_unknown_path_is_a_404_that_names_the_routes(port: Port, path: str) -> None:
    status, headers, body = port.ask("GET", path)
    problem = json.loads(body)
    assert (status, headers["content-type"]) == (404, "application/problem+json")
    assert (problem["status"], problem["title"]) == (404, "Not Found")
    assert "/orders/{order_id}" in problem["detail"]
    assert port.engine.events == []


def test_another_method_is_a_405_that_names_the_allowed_ones(port: Port) -> None:
    status, headers, body = port.ask("DELETE", "/orders/A-1")
    assert (status, headers["allow"]) == (405, "GET")
    assert json.loads(body)["detail"] == "/orders/A-1 takes GET"


def test_the_error_of_a_function_is_a_500_without_details(port: Port) -> None:
    port.engine.error = {"errorType": "KeyError", "errorMessage": "secret"}
    status, headers, body = port.ask("GET", "/health")
    assert (status, headers["content-type"]) == (500, "application/problem+json")
    assert b"secret" not in body


@pytest.mark.parametrize(("size", "status"), [(MAX_BODY, 201), (MAX_BODY + 1, 413)])
def test_a_body_has_a_limit(port: Port, size: int, status: int) -> None:
    answered, _, body = port.ask("POST", "/orders", b"x" * size)
    assert answered == status
    assert len(port.engine.events) == (1 if status == 201 else 0)
    if status == 413:
        assert str(MAX_BODY) in json.loads(body)["detail"]


def test_requests_beyond_the_limit_are_told_to_retry(port: Port) -> None:
    port.application.active = MAX_ACTIVE
    status, headers, body = port.ask("GET", "/health")
    assert (status, headers["retry-after"]) == (429, "1")
    assert json.loads(body)["status"] == 429
    status, headers, body = port.ask("POST", "/", b"{}", {"X-Amz-Target": "AWSEvents.PutEvents"})
    assert (status, json.loads(body)["__type"]) == (400, "ThrottlingException")
    assert port.engine.events == []


def test_an_answered_request_is_not_active(port: Port) -> None:
    port.ask("GET", "/health")
    port.ask("POST", "/orders", b"x" * (MAX_BODY + 1))
    assert port.application.active == 0


def test_other_protocols_are_not_answered(port: Port) -> None:
    async def never() -> Any:
        raise AssertionError

    asyncio.run(port.application({"type": "lifespan"}, never, cast("Any", never)))


# ---- AWS's clients


def aws(port: Port, answer: Callable[[], Any], target: str = "AWSEvents.PutEvents") -> Any:
    """Return the response to an operation with this answer."""
    port.application.api = cast("AwsApi", SimpleNamespace(answer=lambda name, body: answer()))
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
    return port.ask("POST", "/", b"{}", headers)


def test_an_operation_is_answered_in_the_protocol_of_the_request(port: Port) -> None:
    status, headers, body = aws(port, lambda: {"FailedEntryCount": 0})
    assert (status, json.loads(body)) == (200, {"FailedEntryCount": 0})
    assert headers["content-type"] == "application/x-amz-json-1.1"
    assert headers["x-amzn-requestid"]


def test_an_operation_may_answer_later(port: Port) -> None:
    def later() -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_result({"done": True})
        return future

    assert json.loads(aws(port, later)[2]) == {"done": True}


@pytest.mark.parametrize("later", [False, True])
def test_a_refused_operation_is_a_400_with_awss_code(port: Port, *, later: bool) -> None:
    error = InvalidRequest("ValidationException", "too many")

    def refused() -> "Future[Any]":
        if not later:
            raise error
        future: Future[Any] = Future()
        future.set_exception(error)
        return future

    status, headers, body = aws(port, refused)
    assert (status, headers["x-amzn-errortype"]) == (400, "ValidationException")
    assert json.loads(body) == {"__type": "ValidationException", "message": "too many"}


def test_an_unknown_operation_is_refused_with_the_list_of_operations(port: Port) -> None:
    headers = {"X-Amz-Target": "AWSEvents.DeleteArchive"}
    status, _, body = port.ask("POST", "/", b"{}", headers)
    error = json.loads(body)
    assert (status, error["__type"]) == (400, "UnknownOperationException")
    for operation in ("PutEvents", "StartReplay", "DescribeExecution", "ListExecutions"):
        assert operation in error["message"]


@pytest.mark.parametrize("body", [b"{", b"[]", b"5", b"\xff"])
def test_a_body_that_is_not_a_json_object_is_refused(port: Port, body: bytes) -> None:
    headers = {"X-Amz-Target": "AWSEvents.PutEvents"}
    status, _, answer = port.ask("POST", "/", body, headers)
    assert (status, json.loads(answer)["__type"]) == (400, "SerializationException")


def test_the_operations_are_at_the_root_alone(port: Port) -> None:
    headers = {"X-Amz-Target": "AWSEvents.PutEvents"}
    assert port.ask("POST", "/nothing", b"{}", headers)[0] == 404
    assert port.ask("POST", "/", b"{}")[0] == 404


# ---- addresses


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1"])
def test_a_loopback_address_is_accepted(host: str) -> None:
    check_address(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", ""])  # noqa: S104
def test_an_address_that_other_hosts_can_reach_is_refused(host: str) -> None:
    with pytest.raises(ServerError, match="not a loopback address"):
        check_address(host)
