"""The relay's real clients against services that refuse part of what they are sent.

moto accepts every request, so this is a server on a port that answers like AWS. It records
the requests, and the outboxes at that moment.
"""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from kernel.order_record import Message
from lambda_support import aws
from orders.aws_publisher import AWSPublisher
from orders.outbox import ATTEMPTS, OutboxItem, Ports, catch_up, relay
from tests.fakes.outbox import FakeOutbox
from tests.fakes.records import NOW

QUEUE = "https://sqs.us-east-1.amazonaws.com/123456789012/work"
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:flow"

Reply = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]


class Service(ThreadingHTTPServer):
    """A service that sends the test's replies, and accepts further requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.daemon_threads = True
        self.replies: deque[Reply] = deque()
        self.requests: list[tuple[str, list[str]]] = []
        """The operation of each request, and the names of its messages."""
        self.held: list[list[str]] = []
        """The messages in the outboxes at each request."""
        self.outbox = FakeOutbox()


class Answering(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        self.server.requests.append((operation, about(request)))
        self.server.held.append(self.server.outbox.remaining)
        reply = self.server.replies.popleft() if self.server.replies else accepting
        status, answer = reply(request)
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def about(request: dict[str, Any]) -> list[str]:
    """Return the names of the messages in a request."""
    entries = request.get("Entries", [request])
    return [
        entry.get("Detail") or entry.get("name") or json.loads(entry["MessageBody"])["name"]
        for entry in entries
    ]


def accepting(request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return refusing()(request)


def refusing(*places: int, code: str = "InternalFailure") -> Reply:
    """Refuse these entries of a request and accept the others, in the service's format."""

    def reply(request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if "stateMachineArn" in request:
            return 200, {"executionArn": "arn:aws:states:::execution", "startDate": NOW}
        entries = request["Entries"]
        if "QueueUrl" in request:
            ids = [entry["Id"] for entry in entries]
            failed = [{"Id": ids[place], "Code": code, "SenderFault": False} for place in places]
            done = [
                {"Id": one, "MessageId": one, "MD5OfMessageBody": ""}
                for place, one in enumerate(ids)
                if place not in places
            ]
            return 200, {"Successful": done[::-1], "Failed": failed[::-1]}  # in no order
        refused = {"ErrorCode": code, "ErrorMessage": "of the test"}
        answers = [
            refused if place in places else {"EventId": str(place)} for place in range(len(entries))
        ]
        return 200, {"FailedEntryCount": len(places), "Entries": answers}

    return reply


def failing(code: str, status: int = 400) -> Reply:
    """Refuse a request as a whole."""
    return lambda _: (status, {"__type": code, "message": "of the test"})


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with Service() as serving:
        threading.Thread(target=serving.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{serving.server_address[1]}"
        for name, value in {
            "AWS_ENDPOINT_URL": address,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
        }.items():
            monkeypatch.setenv(name, value)
        aws.client.cache_clear()
        yield serving
        aws.client.cache_clear()
        serving.shutdown()


def holding(service: Service, *messages: Message) -> Ports:
    """Return the relay's ports; each message has an outbox of its own, "a", "b", ..."""
    names = "abcdefghijklmnopqrstuvwxyz"
    items = {name: {"1": message} for name, message in zip(names, messages, strict=False)}
    service.outbox = FakeOutbox(**items)
    return Ports(service.outbox, AWSPublisher("orders-bus", MACHINE), lambda: NOW, lambda _: None)


def send(ports: Ports, service: Service) -> dict[str, str]:
    return relay(records(service.outbox.pending), ports, lambda: 60.0)


def records(items: Sequence[OutboxItem]) -> list[dict[str, Any]]:
    return [{"dynamodb": {"SequenceNumber": item.key[0], "item": item}} for item in items]


def event(name: str) -> Message:
    return Message("event", {"Source": "s", "DetailType": "d", "Detail": name})


def message(name: str) -> Message:
    return Message("message", {"queue": QUEUE, "body": {"name": name}})


def run(name: str) -> Message:
    return Message("run", {"name": name, "input": {}})


BATCHED = pytest.mark.parametrize(
    ("kind", "operation"),
    [(event, "PutEvents"), (message, "SendMessageBatch")],
    ids=["PutEvents", "SendMessageBatch"],
)


@BATCHED
def test_refused_entries_are_sent_again_in_order_and_accepted_ones_removed(
    service: Service, kind: Callable[[str], Message], operation: str
) -> None:
    ports = holding(service, *map(kind, "pqrst"))
    service.replies += [refusing(0, 2, 3), refusing(1, code="ThrottlingException")]
    assert send(ports, service) == {}
    assert service.requests == [
        (operation, ["p", "q", "r", "s", "t"]),
        (operation, ["p", "r", "s"]),
        (operation, ["r"]),
    ]
    assert service.held == [["a/1", "b/1", "c/1", "d/1", "e/1"], ["a/1", "c/1", "d/1"], ["c/1"]]
    assert service.outbox.remaining == []


@BATCHED
def test_an_entry_refused_at_every_attempt_stays_with_its_reason(
    service: Service, kind: Callable[[str], Message], operation: str
) -> None:
    ports = holding(service, *map(kind, "pq"))
    service.replies += [refusing(1), *[refusing(0)] * ATTEMPTS]
    [(record, reason)] = send(ports, service).items()
    assert (record, reason.split(":")[0]) == ("b", "InternalFailure")
    assert [about for _, about in service.requests] == [["p", "q"], *[["q"]] * (ATTEMPTS - 1)]
    assert service.outbox.remaining == ["b/1"]
    service.replies.clear()
    assert catch_up(ports, lambda: 60.0) == (1, [])
    assert service.outbox.remaining == []


@BATCHED
def test_a_request_refused_as_a_whole_removes_nothing(
    service: Service, kind: Callable[[str], Message], operation: str
) -> None:
    ports = holding(service, *map(kind, "pq"))
    service.replies += [failing("ValidationException")] * ATTEMPTS
    reasons = send(ports, service)
    assert list(reasons) == ["a", "b"]
    assert all("refused the request: ValidationException" in reason for reason in reasons.values())
    assert service.held == [["a/1", "b/1"]] * ATTEMPTS


def test_a_refused_request_does_not_affect_others(service: Service) -> None:
    ports = holding(service, *map(event, "klmnopqrstu"), message("v"))
    service.replies += [refusing(9), failing("ValidationException"), accepting]
    assert send(ports, service) == {}
    assert service.requests == [
        ("PutEvents", list("klmnopqrst")),
        ("PutEvents", ["u"]),
        ("SendMessageBatch", ["v"]),
        ("PutEvents", ["t", "u"]),
    ]
    assert service.outbox.remaining == []


@pytest.mark.parametrize(
    ("code", "started"),
    [
        ("ExecutionAlreadyExists", ["r", "s"]),  # it was started before
        ("ExecutionLimitExceeded", ["r", "s", "r"]),
        ("InvalidExecutionInput", ["r", "s", "r"]),
    ],
)
def test_a_refused_run_is_started_again_and_an_existing_one_is_not(
    service: Service, code: str, started: list[str]
) -> None:
    ports = holding(service, run("r"), run("s"))
    service.replies += [failing(code)]
    assert send(ports, service) == {}
    assert service.requests == [("StartExecution", [name]) for name in started]
    assert service.outbox.remaining == []


def test_a_run_refused_at_every_attempt_stays_with_its_reason(service: Service) -> None:
    ports = holding(service, run("r"), run("s"))
    service.replies += [accepting, *[failing("StateMachineDoesNotExist")] * ATTEMPTS]
    [(record, reason)] = send(ports, service).items()
    assert record == "b"
    assert reason.startswith("the state machine was not found (StateMachineDoesNotExist")
    assert service.outbox.remaining == ["b/1"]


def test_an_unavailable_service_loses_no_message(service: Service) -> None:
    ports = holding(service, event("p"), message("q"), run("r"))
    service.shutdown()
    service.server_close()
    reasons = send(ports, service)
    assert list(reasons) == ["a", "b", "c"]
    assert all("did not answer: Could not connect" in reason for reason in reasons.values())
    assert service.outbox.remaining == ["a/1", "b/1", "c/1"]
