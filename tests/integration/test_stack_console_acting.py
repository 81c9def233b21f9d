"""The actions of a stack's console on dead letters, replays, queries and contracts."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from typing import Any

import boto3
import pytest

from infra.console.stack.limits import LOOPBACK
from infra.deployed.stack import DeployedStack
from tests.fakes.events import DETAIL
from tests.fakes.stack_console import StackVisitor, counted_calls, refusing, visiting
from tests.integration.deployed import REGION

EVENT = {
    "source": "orders.service",
    "detail-type": "Order Created",
    "detail": {**DETAIL, "order_id": "W-1", "currency": "EURO"},
}
LETTER = {
    "consumer": "order_processing",
    "reason": {"error": "InvalidEvent", "message": "detail.currency: is no currency"},
    "event": EVENT,
}


@pytest.fixture
def visitor(stack: DeployedStack) -> Iterator[StackVisitor]:
    """Open the console of a stack with a bus, an archive and its rules."""
    events = stack.client("events")
    bus = events.create_event_bus(Name="orders-bus")["EventBusArn"]
    events.create_archive(ArchiveName="orders-archive", EventSourceArn=bus)
    pattern = '{"source": ["orders.service"]}'
    events.put_rule(Name="x-OrderCreatedRule-1", EventBusName="orders-bus", EventPattern=pattern)
    with visiting(stack, replace(LOOPBACK, wait=0.0)) as opened:
        yield opened


def put(visitor: StackVisitor) -> str:
    return put_in(visitor.source.deployed, LETTER)


def put_in(stack: DeployedStack, body: Any, queue: str = "QuarantineQueue") -> str:
    """Put a dead letter into a queue; return its id."""
    sent = stack.client("sqs").send_message(
        QueueUrl=stack.name(queue), MessageBody=json.dumps(body)
    )
    return str(sent["MessageId"])


def looked(visitor: StackVisitor) -> list[str]:
    """Look at the queues; return the ids of the dead letters."""
    visitor.acted("/console/dead-letters/look", {})
    look = visitor.source.sample.look
    assert look is not None
    return [str(letter.id) for letter in look.letters]


def runs(stack: DeployedStack) -> list[Any]:
    client = stack.client("stepfunctions")
    found = client.list_executions(stateMachineArn=stack.name("OrderProcessing"))["executions"]
    described = [client.describe_execution(executionArn=each["executionArn"]) for each in found]
    return [json.loads(each["input"]) for each in described]


# ---- dead letters


def test_a_dead_letter_is_seen_grouped_and_explained(visitor: StackVisitor) -> None:
    number = put(visitor)
    assert looked(visitor) == [number]
    page = visitor.get("/console/dead-letters").text
    assert "1 dead letter in 1 group" in page
    group = page.partition("/console/dead-letters/groups/reason/")[2].partition('"')[0]
    preview = visitor.get(f"/console/dead-letters/groups/reason/{group}/redrive").text
    assert "a run with its event" in preview
    assert "No order known" in preview
    assert '<td data-label="happens">a run with its event' in preview
    assert "/console/dead-letters/jobs" not in page + preview
    letter = visitor.get(f"/console/dead-letters/{number}").text
    assert "It goes to a run with its event" in letter
    assert f"orders dead-letters redrive {number} --stack orderflow-test" in letter
    assert number in visitor.get("/console/dead-letters/list.csv").text


def test_a_discarded_dead_letter_is_put_back(visitor: StackVisitor) -> None:
    number = put(visitor)
    looked(visitor)
    page = visitor.acted(f"/console/dead-letters/{number}/discard", {"reason": "a test"})
    assert "is discarded: a test" in page.text
    assert looked(visitor) == []
    assert "a test" in visitor.get("/console/dead-letters/closed").text
    assert "ada" in visitor.get("/console/activity").text
    visitor.acted(f"/console/dead-letters/{number}/undo", {})
    assert looked(visitor) == [number]


def test_a_discard_needs_a_reason(visitor: StackVisitor) -> None:
    number = put(visitor)
    looked(visitor)
    refused = visitor.post(f"/console/dead-letters/{number}/discard", {"reason": " "})
    assert (refused.status, "reason: is missing" in refused.text) == (400, True)
    assert looked(visitor) == [number]


def test_a_wrong_currency_is_edited_and_its_run_gets_the_right_one(
    visitor: StackVisitor,
) -> None:
    number = put(visitor)
    looked(visitor)
    at = f"/console/dead-letters/{number}"
    editor = visitor.get(f"{at}/edit").text
    text = unescape(editor.partition("<textarea")[2].partition(">")[2].partition("</textarea>")[0])
    wrong = visitor.post(f"{at}/check", {"event": text})
    assert (wrong.status, "detail.currency" in wrong.text) == (422, True)
    fixed = text.replace("EURO", "EUR")
    with counted_calls() as calls:
        checked = visitor.post(f"{at}/check", {"event": fixed})
    assert (checked.status, calls) == (200, [])
    page = visitor.acted(f"{at}/edit", {"event": fixed, "then": "redrive"})
    assert f"Dead letter {number} is redriven" in page.text
    [begun] = runs(visitor.source.deployed)
    assert begun["detail"]["currency"] == "EUR"


def test_a_group_is_redriven_and_one_that_was_not_received_is_named(
    visitor: StackVisitor,
) -> None:
    letters = [put(visitor), put(visitor)]
    looked(visitor)
    ids = " ".join([*letters, "gone-1"])
    page = visitor.acted("/console/dead-letters/batch/redrive", {"ids": ids})
    assert "2 of 3 dead letters were redriven" in page.text
    assert "gone-1: dead letter gone-1 was not received" in page.text
    assert len(runs(visitor.source.deployed)) == 2


def test_a_dead_letter_whose_action_was_cut_before_its_deletion_is_open_on_its_page(
    visitor: StackVisitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = put(visitor)
    looked(visitor)
    with refusing({"DeleteMessage": "InternalError"}):
        visitor.post(f"/console/dead-letters/{number}/discard", {"reason": "a test"})
    monkeypatch.setattr(visitor.source, "now", lambda: time.time() + 5)
    assert looked(visitor) == [number]
    page = visitor.get(f"/console/dead-letters/{number}").text
    assert f"/console/dead-letters/{number}/redrive" in page
    done = visitor.acted(f"/console/dead-letters/{number}/discard", {"reason": "again"})
    assert "is discarded: again" in done.text
    assert looked(visitor) == []
    assert (
        f"/console/dead-letters/{number}/undo"
        in visitor.get(f"/console/dead-letters/{number}").text
    )


def test_a_reason_that_utf_8_cannot_encode_is_shown_without_that_part(
    visitor: StackVisitor,
) -> None:
    cause = json.dumps({"errorMessage": "half \ud800 a pair"})
    put_in(visitor.source.deployed, {**LETTER, "reason": {"error": "X", "cause": cause}})
    [number] = looked(visitor)
    for path in ("", f"/{number}", "/list.csv", "/list.ndjson"):
        page = visitor.get(f"/console/dead-letters{path}")
        assert (page.status, "half ? a pair" in page.text) == (200, True), path
    look = visitor.source.sample.look
    assert look is not None
    visitor.source.sample.keep([replace(each, reason="\ud800") for each in look.letters], look.at)
    for path in ("", "?by=queue", f"/{number}", "/list.csv", "/list.ndjson"):
        assert visitor.get(f"/console/dead-letters{path}").status == 200, path
    done = visitor.acted(f"/console/dead-letters/{number}/discard", {"reason": "a test"})
    assert "is discarded" in done.text


# ---- replays


def test_a_replay_is_foreseen_by_its_rules_started_and_cancelled(
    visitor: StackVisitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = visitor.source.deployed
    monkeypatch.setitem(stack.names, "OrderCreatedRule", "orders-bus|x-OrderCreatedRule-1")
    dimensions = {"EventBusName": "orders-bus", "RuleName": "x-OrderCreatedRule-1"}
    stack.client("cloudwatch").put_metric_data(
        Namespace="AWS/Events",
        MetricData=[
            {
                "MetricName": "MatchedEvents",
                "Value": 31,
                "Timestamp": time.time() - 600,
                "Dimensions": [{"Name": name, "Value": each} for name, each in dimensions.items()],
            }
        ],
    )
    begin = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 3600))
    end = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    wanted = {"name": "again", "start": begin, "end": end, "rules": "OrderCreatedRule"}
    query = f"start={begin}&end={end}&rules=OrderCreatedRule&name=again"
    with counted_calls() as calls:
        page = visitor.get(f"/console/replays/new?{query}").text
    assert calls == ["GetMetricData"]
    assert "About 31 deliveries" in page
    assert "No operation of AWS reads an archive" in page
    visitor.acted("/console/replays/new", wanted)
    events = boto3.client("events", region_name=REGION)
    [arn] = events.describe_replay(ReplayName="again")["Destination"]["FilterArns"]
    assert arn.endswith("x-OrderCreatedRule-1")
    assert "again" in visitor.get("/console/replays").text
    shown = visitor.get("/console/replays/again").text
    assert begin.replace("T", " ") in shown
    assert "cancel a replay, not pause it" in shown
    paused = visitor.post("/console/replays/again/pause", {})
    assert (paused.status, "not pause it" in paused.text) == (404, True)


def test_a_replay_of_a_wrong_range_is_refused_with_its_field(visitor: StackVisitor) -> None:
    page = visitor.post("/console/replays/new", {"start": "now", "end": "2026-01-31T12:00:00"})
    assert (page.status, "from: " in page.text) == (400, True)


# ---- queries


@pytest.fixture
def athena(visitor: StackVisitor) -> Any:
    stack = visitor.source.deployed
    client = stack.client("athena")
    client.create_work_group(
        Name=stack.name("Workgroup"),
        Configuration={"ResultConfiguration": {"OutputLocation": "s3://orderflow-bucket/a/"}},
    )
    return client


def test_a_query_is_started_by_a_person_and_followed_by_its_id(
    visitor: StackVisitor, athena: Any
) -> None:
    with counted_calls() as calls:
        for path in ("/console/queries", "/console/queries/sql?q=select+1", "/console/queries"):
            assert visitor.get(path).status == 200
    assert calls == []
    named = visitor.get("/console/queries/revenue_by_day").text
    assert "orders query revenue_by_day --stack orderflow-test" in named
    started = visitor.post("/console/queries/start", {"q": "select 1 as n from order_events"})
    assert started.status == 303
    page = visitor.get(started.headers["location"])
    assert "select 1 as n from order_events" in page.text
    number = started.headers["location"].rpartition("/")[2]
    assert athena.get_query_execution(QueryExecutionId=number)["QueryExecution"]["WorkGroup"]


def test_a_statement_that_changes_something_is_refused_before_it_is_sent(
    visitor: StackVisitor, athena: Any
) -> None:
    with counted_calls() as calls:
        page = visitor.post("/console/queries/start", {"q": "drop table order_events"})
    assert (page.status, "must be one SELECT" in page.text, calls) == (400, True, [])


def results(token: str | None, *rows: tuple[str | None, str]) -> dict[str, Any]:
    """Return a page of Athena's results."""
    columns = [{"Name": "day", "Type": "date"}, {"Name": "revenue", "Type": "decimal"}]
    data = [
        {"Data": [{} if cell is None else {"VarCharValue": cell} for cell in row]} for row in rows
    ]
    page: dict[str, Any] = {
        "ResultSet": {"Rows": data, "ResultSetMetadata": {"ColumnInfo": columns}}
    }
    return {**page, **({"NextToken": token} if token else {})}


def execution(athena: Any, state: str, **status: str) -> dict[str, Any]:
    return {
        "QueryExecution": {
            "Query": "select 1",
            "WorkGroup": "orderflow_dev",
            "Status": {"State": state, **status},
            "Statistics": {"DataScannedInBytes": 2_000_000_000, "TotalExecutionTimeInMillis": 1500},
        }
    }


RUN = "/console/queries/runs/12345678-aaaa"


def test_the_rows_of_a_query_have_its_price_and_a_file(
    visitor: StackVisitor, athena: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = {
        None: results("more", ("day", "revenue"), ("2026-01-30", "12.50")),
        "more": results(None, (None, "=HYPERLINK"), ("2026-01-31", "7.25")),
    }
    pages["more"]["ResultSet"]["Rows"][0]["Data"][1] = {"VarCharValue": "3.00"}
    asked: list[Any] = []

    def rows(_: Any, **request: Any) -> Any:
        asked.append(request.get("NextToken"))
        return pages[request.get("NextToken")]

    kind = type(athena)
    answer = execution(athena, "SUCCEEDED")
    monkeypatch.setattr(kind, "get_query_execution", lambda *_, **__: answer)
    monkeypatch.setattr(kind, "get_query_results", rows)
    page = visitor.get(RUN).text
    assert "2000.0 MB read · 0.01000 USD" in page
    assert "12.50" in page
    assert "NULL" in page
    assert asked == [None, "more"]
    assert visitor.get(f"{RUN}/rows.csv").text.splitlines() == [
        "day,revenue",
        "2026-01-30,12.50",
        ",3.00",
        "2026-01-31,7.25",
    ]


def test_a_query_that_failed_says_why_and_a_running_one_is_stopped(
    visitor: StackVisitor, athena: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, stopped = type(athena), list[Any]()
    failed = execution(
        athena, "FAILED", StateChangeReason="line 1:8: Column 'x' cannot be resolved"
    )
    monkeypatch.setattr(kind, "get_query_execution", lambda *_, **__: failed)
    assert "Column &#39;x&#39; cannot be resolved" in visitor.get(RUN).text
    assert visitor.get(f"{RUN}/rows.csv").status == 400
    running = execution(athena, "RUNNING")
    monkeypatch.setattr(kind, "get_query_execution", lambda *_, **__: running)
    monkeypatch.setattr(kind, "stop_query_execution", lambda *_, **request: stopped.append(request))
    page = visitor.get(RUN).text
    assert 'http-equiv="refresh"' in page
    visitor.acted(f"{RUN}/cancel", {})
    assert stopped == [{"QueryExecutionId": "12345678-aaaa"}]


def test_a_query_of_another_workgroup_is_not_shown(
    visitor: StackVisitor, athena: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = execution(athena, "SUCCEEDED")
    foreign["QueryExecution"]["WorkGroup"] = "payroll"
    monkeypatch.setattr(type(athena), "get_query_execution", lambda *_, **__: foreign)
    assert visitor.get(RUN).status == 404
    assert visitor.get(f"{RUN}/rows.csv").status == 404


@pytest.mark.parametrize("number", ["nonsense!", "00000000-0000-0000-0000-000000000000"])
def test_an_unknown_query_is_not_found(visitor: StackVisitor, athena: Any, number: str) -> None:
    with refusing({"GetQueryExecution": "InvalidRequestException"}, "was not found"):
        page = visitor.get(f"/console/queries/runs/{number}")
    assert page.status == 404


# ---- contracts


def test_a_checked_event_says_whether_its_order_is_known(visitor: StackVisitor) -> None:
    page = visitor.post("/console/contracts/check", {"events": json.dumps(EVENT)})
    assert "detail.currency" in page.text
    assert "not known yet" in page.text


def test_an_event_is_sent_to_the_bus_of_the_stack(visitor: StackVisitor) -> None:
    client = visitor.source.deployed.client("events")
    client.delete_archive(ArchiveName="orders-archive")  # moto needs a package more for it
    composer = visitor.get("/console/contracts/order-created/send").text
    assert "It is a real order of the stack orderflow-test" in composer
    right = {**EVENT, "detail": {**DETAIL, "order_id": "W-1"}}
    with counted_calls() as calls:
        sent = visitor.post("/console/contracts/order-created/send", {"event": json.dumps(right)})
    assert (sent.status, calls) == (303, ["PutEvents"])
    assert sent.headers["location"].partition("?")[0] == "/console/orders/W-1"
