"""`orders serve` on a real port: AWS's own clients, HTTP, and how it starts and ends."""

import http.client
import json
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.server.http import MAX_BODY
from tests.fakes.serving import PATIENCE, Served, orders

ARN = "arn:aws:states:us-east-1:000000000000"
PROCESSING = f"{ARN}:stateMachine:orderflow-order-processing"
RECOVERY = f"{ARN}:stateMachine:OrderRecovery"
EVENTS = "arn:aws:events:us-east-1:000000000000"
ARCHIVE = f"{EVENTS}:archive/orders-archive"
BUS = {"Arn": f"{EVENTS}:event-bus/orders-bus"}
INVALID = "ValidationException"
TEA = {"sku": "TEA-GREEN-100", "quantity": 2, "unit_price": 12.5}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("server") / "data") as served:
        yield served


@pytest.fixture(scope="module")
def events(server: Served) -> Any:
    return server.client("events")


@pytest.fixture(scope="module")
def stepfunctions(server: Served) -> Any:
    return server.client("stepfunctions")


def created(order_id: str, **changes: Any) -> dict[str, Any]:
    """Return the PutEvents entry of an order of two teas."""
    detail = {
        "order_id": order_id,
        "customer_id": "C-1",
        "currency": "GBP",
        "items": [TEA],
        "total": 25,
        "timestamp": "2026-01-31T12:00:00Z",
    }
    return {
        "EventBusName": "orders-bus",
        "Source": "orders.service",
        "DetailType": "Order Created",
        "Detail": json.dumps(detail | changes),
    }


def ended(server: Served, order_id: str) -> str:
    """Wait until an order has ended; return how."""
    end = time.monotonic() + PATIENCE
    while True:
        status, order = server.ask("GET", f"/orders/{order_id}")
        if status == 200 and order["status"] in ("COMPLETED", "FAILED", "CANCELLED"):
            return str(order["status"])
        assert time.monotonic() < end, f"{order_id} does not end: {order}"
        time.sleep(0.02)


def code(call: Any, **request: Any) -> str:
    """Return the error code with which a call is refused."""
    with pytest.raises(ClientError) as refused:
        call(**request)
    assert refused.value.response["Error"]["Message"]
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return str(refused.value.response["Error"]["Code"])


# ---- EventBridge


def test_an_event_put_with_boto3_completes_its_order(server: Served, events: Any) -> None:
    answer = events.put_events(Entries=[created("E-1")])
    assert answer["FailedEntryCount"] == 0
    assert answer["Entries"][0]["EventId"]
    assert ended(server, "E-1") == "COMPLETED"


def test_a_bad_entry_is_answered_in_its_place(events: Any) -> None:
    answer = events.put_events(
        Entries=[created("E-2"), {**created("E-3"), "Detail": "{"}, {"Source": "x"}]
    )
    assert answer["FailedEntryCount"] == 2
    assert [entry.get("ErrorCode") for entry in answer["Entries"]] == [
        None,
        "MalformedDetail",
        "ResourceNotFoundException",
    ]


def test_too_many_entries_are_refused(events: Any) -> None:
    assert code(events.put_events, Entries=[created("E-4")] * 11) == "ValidationException"


def test_an_event_that_is_too_large_is_refused_with_the_limit_and_its_size(events: Any) -> None:
    entry = created("E-5", note="x" * 262_144)
    with pytest.raises(ClientError, match=r"\d+ bytes of 262144"):
        events.put_events(Entries=[entry])


@pytest.mark.parametrize(("pattern", "matches"), [("shop", True), ("other", False)])
def test_a_pattern_can_be_tried(events: Any, pattern: str, *, matches: bool) -> None:
    event = {
        "id": "1",
        "account": "000000000000",
        "source": "shop",
        "time": "2026-01-31T12:00:00Z",
        "region": "us-east-1",
        "resources": [],
        "detail-type": "x",
        "detail": {},
    }
    answer = events.test_event_pattern(
        EventPattern=json.dumps({"source": [pattern]}), Event=json.dumps(event)
    )
    assert answer["Result"] is matches


@pytest.mark.parametrize(
    ("pattern", "event", "refused"),
    [
        ("{", "{}", "InvalidEventPatternException"),
        ('{"a": 5}', "{}", "InvalidEventPatternException"),
        ('{"source": ["a"]}', "{", "ValidationException"),
        ('{"source": ["a"]}', "5", "ValidationException"),
        ('{"source": ["a"]}', "null", "ValidationException"),
        ('{"source": ["a"]}', '{"source": "a"}', "ValidationException"),
    ],
)
def test_a_pattern_or_an_event_that_is_none_is_refused(
    events: Any, pattern: str, event: str, refused: str
) -> None:
    assert code(events.test_event_pattern, EventPattern=pattern, Event=event) == refused


def test_the_archive_is_replayed_and_described(server: Served, events: Any) -> None:
    events.put_events(Entries=[created("R-1")])
    assert ended(server, "R-1") == "COMPLETED"
    now = time.time()
    rule = "arn:aws:events:us-east-1:000000000000:rule/orders-bus/OrderCreatedRule"
    started = events.start_replay(
        ReplayName="again",
        EventSourceArn=ARCHIVE,
        EventStartTime=now - 3600,
        EventEndTime=now + 60,
        Destination={**BUS, "FilterArns": [rule]},
    )
    assert started["ReplayArn"] == "arn:aws:events:us-east-1:000000000000:replay/again"
    server.until("select state from replays where name = 'again'", "COMPLETED")
    described = events.describe_replay(ReplayName="again")
    assert described["State"] == "COMPLETED"
    assert described["EventLastReplayedTime"] <= described["ReplayEndTime"]
    assert described["EventSourceArn"] == ARCHIVE
    assert described["Destination"]["FilterArns"] == [rule]
    assert described["EventStartTime"].timestamp() == pytest.approx(now - 3600, abs=1)
    duplicates = "select count(*) from timeline where order_id = 'R-1' and what like 'DUPLICATE%'"
    server.until(duplicates, 1)


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"ReplayName": "taken"}, "ResourceAlreadyExistsException"),
        ({"EventSourceArn": ARCHIVE + "-2"}, "ResourceNotFoundException"),
        ({"EventStartTime": 2_000_000_000}, "ValidationException"),
        ({"Destination": {**BUS, "FilterArns": [f"{EVENTS}:rule/orders-bus/None"]}}, INVALID),
        ({"Destination": {**BUS, "FilterArns": ["rule/OrderCreatedRule"]}}, INVALID),
        (
            {"Destination": {**BUS, "FilterArns": [f"{EVENTS}:rule/other/OrderCreatedRule"]}},
            INVALID,
        ),
        ({"Destination": {"Arn": f"{EVENTS}:event-bus/default"}}, INVALID),
        ({"Destination": {"Arn": "arn:aws:sqs:us-east-1:000000000000:RetryQueue"}}, INVALID),
        ({"EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:orders-archive"}, INVALID),
        ({"EventSourceArn": "orders-archive"}, INVALID),
        ({"ReplayName": "a b/c"}, INVALID),
        ({"ReplayName": "a" * 65}, INVALID),
    ],
)
def test_a_replay_that_cannot_be_is_refused(
    events: Any, change: dict[str, Any], refused: str
) -> None:
    request = {
        "ReplayName": "new",
        "EventSourceArn": ARCHIVE,
        "EventStartTime": 1,
        "EventEndTime": 2,
        "Destination": BUS,
    }
    try:
        events.describe_replay(ReplayName="taken")
    except ClientError:
        events.start_replay(**request | {"ReplayName": "taken"})
    assert code(events.start_replay, **request | change) == refused


def test_replays_and_archives_are_listed(events: Any) -> None:
    request = {"EventSourceArn": ARCHIVE, "Destination": BUS}
    for name in ("listed-1", "listed-2"):
        events.start_replay(
            ReplayName=name, EventStartTime=time.time() - 60, EventEndTime=time.time(), **request
        )
    first = events.list_replays(NamePrefix="listed", Limit=1)
    second = events.list_replays(NamePrefix="listed", Limit=1, NextToken=first["NextToken"])
    assert "NextToken" not in second
    listed = first["Replays"] + second["Replays"]
    assert [replay["ReplayName"] for replay in listed] == ["listed-1", "listed-2"]
    assert {replay["EventSourceArn"] for replay in listed} == {ARCHIVE}
    assert events.list_replays(NamePrefix="none")["Replays"] == []
    assert events.list_replays(NamePrefix="listed", State="FAILED")["Replays"] == []
    events.put_events(Entries=[created("LISTED-1")])
    [archive] = events.list_archives()["Archives"]
    described = events.describe_archive(ArchiveName=archive["ArchiveName"])
    assert described["ArchiveArn"] == ARCHIVE
    assert described["EventCount"] >= 1
    assert described["SizeBytes"] > 100
    assert json.loads(described["EventPattern"]) == {"source": ["orders.service"]}
    assert code(events.describe_archive, ArchiveName="none") == "ResourceNotFoundException"
    assert events.list_archives(State="DISABLED")["Archives"] == []


def test_a_replay_is_cancelled_and_cannot_be_twice(server: Served, events: Any) -> None:
    events.put_events(Entries=[created(f"CANCELLED-{number}") for number in range(5)])
    request = {
        "ReplayName": "slow",
        "EventSourceArn": ARCHIVE,
        "Destination": BUS,
        "Rate": 0.5,
        "EventStartTime": 0,
        "EventEndTime": time.time() + 60,
    }
    target = {"X-Amz-Target": "Orderflow.StartReplay"}
    assert server.ask("POST", "/", request, target)[0] == 200
    cancelled = events.cancel_replay(ReplayName="slow")
    assert cancelled["State"] == "CANCELLING"
    assert events.describe_replay(ReplayName="slow")["State"] == "CANCELLED"
    assert code(events.cancel_replay, ReplayName="slow") == "IllegalStatusException"
    assert code(events.cancel_replay, ReplayName="never") == "ResourceNotFoundException"


def test_a_missing_replay_is_an_error(events: Any) -> None:
    assert code(events.describe_replay, ReplayName="never") == "ResourceNotFoundException"


# ---- Step Functions


def test_an_execution_is_started_and_described(server: Served, stepfunctions: Any) -> None:
    entry = created("S-1")
    event = {
        "source": entry["Source"],
        "detail-type": entry["DetailType"],
        "detail": json.loads(entry["Detail"]),
    }
    arn = stepfunctions.start_execution(
        stateMachineArn=PROCESSING, name="by-hand", input=json.dumps(event)
    )["executionArn"]
    assert ended(server, "S-1") == "COMPLETED"
    server.until("select status from executions where name = 'by-hand'", "SUCCEEDED")
    described = stepfunctions.describe_execution(executionArn=arn)
    assert described["stateMachineArn"] == PROCESSING
    assert (described["name"], described["status"]) == ("by-hand", "SUCCEEDED")
    assert json.loads(described["input"]) == event
    assert json.loads(described["output"]) == {"status": "COMPLETED"}
    assert described["startDate"] <= described["stopDate"]


def test_an_execution_that_failed_says_why(server: Served, stepfunctions: Any) -> None:
    arn = stepfunctions.start_execution(stateMachineArn=PROCESSING, name="bad", input="{}")
    server.until("select status from executions where name = 'bad'", "FAILED")
    described = stepfunctions.describe_execution(executionArn=arn["executionArn"])
    assert (described["status"], described["error"]) == ("FAILED", "InvalidEvent")
    assert described["cause"]
    assert "output" not in described


def test_a_history_comes_in_pages_and_in_either_order(server: Served, stepfunctions: Any) -> None:
    arn = stepfunctions.start_execution(
        stateMachineArn=RECOVERY, name="waits", input='{"order_id": "x", "wait_seconds": 9999}'
    )["executionArn"]
    server.until(
        "select count(*) from history h join executions e on e.id = h.execution_id"
        " where e.name = 'waits'",
        1,
    )
    whole = stepfunctions.get_execution_history(executionArn=arn)["events"]
    assert [event["type"] for event in whole] == ["ExecutionStarted", "WaitStateEntered"]
    assert [event["id"] for event in whole] == [1, 2]
    first = stepfunctions.get_execution_history(executionArn=arn, maxResults=1)
    second = stepfunctions.get_execution_history(
        executionArn=arn, maxResults=1, nextToken=first["nextToken"]
    )
    assert first["events"] + second["events"] == whole
    assert "nextToken" not in second
    backwards = stepfunctions.get_execution_history(executionArn=arn, reverseOrder=True)
    assert backwards["events"] == whole[::-1]


def test_executions_are_listed_newest_first_by_status_and_in_pages(
    server: Served, stepfunctions: Any
) -> None:
    for number in range(3):
        stepfunctions.start_execution(
            stateMachineArn=RECOVERY,
            name=f"list-{number}",
            input='{"order_id": "x", "wait_seconds": 9999}',
        )
    request = {"stateMachineArn": RECOVERY, "statusFilter": "RUNNING", "maxResults": 2}
    first = stepfunctions.list_executions(**request)
    assert [one["name"] for one in first["executions"]] == ["list-2", "list-1"]
    second = stepfunctions.list_executions(**request, nextToken=first["nextToken"])
    assert second["executions"][0]["name"] == "list-0"
    failed = stepfunctions.list_executions(stateMachineArn=RECOVERY, statusFilter="TIMED_OUT")
    assert failed["executions"] == []


def test_a_taken_name_is_refused_and_the_same_request_is_the_same_execution(
    stepfunctions: Any,
) -> None:
    request = {"stateMachineArn": RECOVERY, "name": "once"}
    given = '{"order_id": "x", "wait_seconds": 9999}'
    first = stepfunctions.start_execution(**request, input=given)
    second = stepfunctions.start_execution(**request, input=given)
    assert [second[field] for field in ("executionArn", "startDate")] == [
        first[field] for field in ("executionArn", "startDate")
    ]
    other = {**request, "input": '{"order_id": "y", "wait_seconds": 9999}'}
    assert code(stepfunctions.start_execution, **other) == "ExecutionAlreadyExists"


@pytest.mark.parametrize(
    ("operation", "request_", "refused"),
    [
        (
            "start_execution",
            {"stateMachineArn": PROCESSING + "x", "input": "{}"},
            "StateMachineDoesNotExist",
        ),
        ("start_execution", {"stateMachineArn": PROCESSING, "input": "{"}, "InvalidExecutionInput"),
        pytest.param(
            "start_execution",
            {"stateMachineArn": PROCESSING, "input": "{}", "name": "a b<c>"},
            "InvalidName",
        ),
        pytest.param(
            "start_execution",
            {"stateMachineArn": PROCESSING, "input": json.dumps("x" * 262_144)},
            "InvalidExecutionInput",
        ),
        ("describe_execution", {"executionArn": f"{PROCESSING}:x"}, "InvalidArn"),
        (
            "describe_execution",
            {"executionArn": f"{ARN}:express:orderflow-order-processing:x:999999"},
            "ExecutionDoesNotExist",
        ),
        (
            "get_execution_history",
            {"executionArn": f"{ARN}:execution:OrderRecovery:none"},
            "ExecutionDoesNotExist",
        ),
        ("list_executions", {"stateMachineArn": f"{PROCESSING}x"}, "StateMachineDoesNotExist"),
        pytest.param(
            "list_executions",
            {"stateMachineArn": RECOVERY, "nextToken": "garbage"},
            "InvalidToken",
        ),
    ],
)
def test_a_wrong_request_is_refused_by_awss_code(
    stepfunctions: Any, operation: str, request_: dict[str, Any], refused: str
) -> None:
    assert code(getattr(stepfunctions, operation), **request_) == refused


@pytest.mark.parametrize(
    ("service", "operation", "request_"),
    [
        ("events", "delete_archive", {"ArchiveName": "orders-archive"}),
        ("events", "disable_rule", {"Name": "OrderCreatedRule"}),
        ("stepfunctions", "delete_state_machine", {"stateMachineArn": RECOVERY}),
    ],
)
def test_an_operation_that_is_not_in_the_table_is_refused_with_those_that_are(
    server: Served, service: str, operation: str, request_: dict[str, Any]
) -> None:
    client = server.client(service)
    assert code(getattr(client, operation), **request_) == "UnknownOperationException"


# ---- HTTP


def test_an_order_is_placed_read_and_completed_over_http(server: Served) -> None:
    assert server.ask("GET", "/health") == (200, {"status": "ok"})
    status, placed = server.ask(
        "POST", "/orders", {"customer_id": "H-1", "currency": "GBP", "items": [TEA]}
    )
    assert status == 201
    assert ended(server, placed["order_id"]) == "COMPLETED"
    _, listed = server.ask("GET", "/orders?customer_id=H-1")
    assert [order["order_id"] for order in listed["orders"]] == [placed["order_id"]]


def test_an_order_that_waits_is_cancelled_over_http(server: Served) -> None:
    sold_out = {"sku": "TEA-GREEN-100", "quantity": 999_999, "unit_price": 1}
    _, placed = server.ask(
        "POST", "/orders", {"customer_id": "H-2", "currency": "GBP", "items": [sold_out]}
    )
    order_id = placed["order_id"]
    server.until(f"select status from orders where order_id = '{order_id}'", "WAITING")
    assert server.ask("POST", f"/orders/{order_id}/cancel")[0] == 202
    assert ended(server, order_id) == "CANCELLED"


@pytest.mark.parametrize("named", [True, False])
def test_thirty_requests_at_once_with_one_key_are_one_order(server: Served, *, named: bool) -> None:
    body = {"customer_id": "H-3", "currency": "GBP", "items": [TEA]}
    if named:
        body["order_id"] = "KEYED-1"
    key = {"Idempotency-Key": f"thirty-{named}"}
    with ThreadPoolExecutor(30) as pool:
        asked = [pool.submit(server.ask, "POST", "/orders", body, key) for _ in range(30)]
        answers = [one.result() for one in asked]
    assert sorted(status for status, _ in answers) == [200] * 29 + [201]
    assert len({order["order_id"] for _, order in answers}) == 1
    assert server.ask("POST", "/orders", {**body, "customer_id": "H-4"}, key)[0] == 409


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nothing", None, 404),
        ("DELETE", "/orders", None, 405),
        ("POST", "/orders", b"{", 400),
        ("POST", "/orders", {"customer_id": "C"}, 422),
        ("GET", "/orders/none", None, 404),
        ("POST", "/orders", b"x" * (MAX_BODY + 1), 413),
    ],
)
def test_what_is_wrong_is_answered_with_a_problem_document(
    server: Served, method: str, path: str, body: Any, status: int
) -> None:
    found, problem = server.ask(method, path, body)
    assert (found, problem["status"]) == (status, status)
    assert problem["type"] == "about:blank"
    assert problem["detail"]


def test_a_body_that_never_ends_is_cut_off_at_the_limit(server: Served) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(
            b"POST /orders HTTP/1.1\r\nHost: localhost:%d\r\nTransfer-Encoding: chunked\r\n\r\n"
            % server.port
        )
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        answer = b""
        try:
            for _ in range(64):
                connection.sendall(chunk)
        except OSError:
            pass  # it has hung up already
        try:
            answer = connection.recv(200)
        except OSError:
            answer = b"HTTP/1.1 413"
    assert answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "request_",
    [b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x00\x01\x02\r\n\r\n", b""],
)
def test_bytes_that_are_no_http_stop_no_other_request(server: Served, request_: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(request_)
    assert server.ask("GET", "/health")[0] == 200


def test_a_client_that_hangs_up_stops_no_other_request(server: Served) -> None:
    for _ in range(20):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("GET", "/orders?customer_id=H-1")
        connection.close()
    assert server.ask("GET", "/health")[0] == 200


def test_an_answer_waits_for_no_acknowledgement_of_the_one_before(server: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    began = time.monotonic()
    for _ in range(50):  # with Nagle's algorithm each would take 40 ms
        connection.request("GET", "/nothing")
        assert connection.getresponse().read()
    connection.close()
    assert time.monotonic() - began < 1.5


# ---- starting and ending


def test_a_second_server_in_the_directory_is_refused_with_who_has_it(server: Served) -> None:
    assert server.process is not None
    done = orders("serve", "--port", "0", "--data", server.data)
    assert done.returncode == 1
    assert f"process {server.process.pid}" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_taken_port_is_an_error(server: Served, tmp_path: Path) -> None:
    done = orders("serve", "--port", server.port, "--data", tmp_path / "other")
    assert done.returncode == 1
    assert f"port {server.port} cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_of_others_is_refused(tmp_path: Path) -> None:
    done = orders("serve", "--host", "0.0.0.0", "--data", tmp_path / "data")  # noqa: S104
    assert done.returncode == 1
    assert "not a loopback address" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def put_slow_orders(client: Any, number: int) -> None:
    """Put orders whose gateway does not answer at once, so that a stop finds them on their way."""
    for first in range(0, number, 10):
        slow = [
            created(f"B-{n}", payment_token="tok_unavailable_1") for n in range(first, first + 10)
        ]
        client.put_events(Entries=slow)


@pytest.mark.parametrize(
    "how",
    [
        signal.SIGINT,
        pytest.param(
            signal.SIGTERM,
        ),
    ],
)
def test_it_ends_cleanly_in_the_middle_of_its_work_and_a_restart_goes_on(
    tmp_path: Path, how: signal.Signals
) -> None:
    with Served(tmp_path / "data") as server:
        put_slow_orders(server.client("events"), 30)
        assert server.stop(how) == 0
        assert not (server.data / "endpoint").exists()
        assert "Traceback" not in server.output()
        assert "stopped; accepted events are saved" in server.output()
        left = server.rows("select count(*) from orders where status = 'COMPLETED'")[0][0]
        server.start()
        server.until("select count(*) from orders where status = 'COMPLETED'", 30)
        assert left < 30, "the stop came too late to show anything"
        assert server.rows("select count(*) from charges where status = 'CHARGED'") == [(30,)]


def test_it_ends_at_once_when_there_is_nothing_to_do(tmp_path: Path) -> None:
    with Served(tmp_path / "data", "--json") as server:
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 5
        assert json.loads(server.output().splitlines()[-1]) == {"stopped": True}
