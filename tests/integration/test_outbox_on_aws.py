"""The relay on moto: from the table's stream to the bus, queues and state machines."""

import json
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto.dynamodb.models import dynamodb_backends

from infra.local.template.loader import Template
from infra.local.template.project import TEMPLATE
from infra.patterns import compile_pattern
from kernel.errors import StoreError
from kernel.order_record import Change, Entry, Message, OrderRecord
from kernel.order_status import Status
from orders import usecases as orders
from orders import wiring
from orders.athena_sink import EventArchive
from orders.aws_publisher import AWSPublisher
from orders.dynamodb import DynamoOrders, DynamoOutbox
from orders.handlers import relay as relay_handler
from orders.outbox import ATTEMPTS, Ports, Publisher, catch_up, relay
from orders.outcome_metrics import outcomes
from orders.usecases import Policy
from tests.fakes.events import created, envelope
from tests.fakes.outbox import FakePublisher, throttled
from tests.fakes.records import NOW, RUN, order
from tests.integration.dynamo_stores import OneAtATime, create, moto

ROLE = "arn:aws:iam::123456789012:role/service-role"
PATTERN = Template(TEMPLATE, {}, lambda *_: {}).resources["RelayFunction"]["Properties"]["Events"][
    "OrdersTable"
]["Properties"]["FilterCriteria"]["Filters"][0]["Pattern"]


class AWS:
    """The services that the relay calls, and the stream of the table."""

    def __init__(self, client: OneAtATime) -> None:
        self.client = client
        self.table = create(client, stream=True)
        self.seen = 0
        self.sqs = boto3.client("sqs")
        self.queue = self.sqs.create_queue(QueueName=self.table.name)["QueueUrl"]
        self.accepted: list[Any] = []
        boto3.client("events").create_event_bus(Name=self.table.name)
        self.machine = boto3.client("stepfunctions").create_state_machine(
            name=self.table.name,
            definition=json.dumps({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}),
            roleArn=ROLE,
        )["stateMachineArn"]
        self.publisher = AWSPublisher(self.table.name, self.machine, self.connect)

    def connect(self, service: str) -> Any:
        """Return a service's client; the one of EventBridge records accepted entries."""
        make: Any = boto3.client  # its overloads are one a service
        client = make(service)
        return RecordingEvents(client, self.accepted) if service == "events" else client

    def stream(self) -> list[dict[str, Any]]:
        """Return the new records that pass the template's filter."""
        # of moto's own, since it does not answer this version of the client for streams
        shard = dynamodb_backends["123456789012"]["us-east-1"].tables[self.table.name].stream_shard
        assert shard is not None
        brought, self.seen = shard.items[self.seen :], len(shard.items)
        wanted = compile_pattern(PATTERN)
        records = [_as_lambda_gets_it(one.record) for one in brought]
        return [one for one in records if wanted.matches(one)]

    def relay(
        self, records: list[dict[str, Any]], publisher: Publisher | None = None
    ) -> dict[str, str]:
        return relay(records, self.ports(publisher), lambda: 60.0)

    def ports(self, publisher: Publisher | None = None, now: float = NOW) -> Ports:
        outbox = DynamoOutbox(self.table)
        return Ports(outbox, publisher or self.publisher, lambda: now, lambda _: None)

    def events(self) -> list[dict[str, Any]]:
        """Return the details of events that the bus took, by their types' names."""
        return [{entry["DetailType"]: json.loads(entry["Detail"])} for entry in self.accepted]

    def messages(self) -> list[Any]:
        """Return the bodies of the messages in the queue."""
        found = []
        while messages := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            found += [json.loads(entry["Body"]) for entry in messages]
        return found

    def runs(self) -> list[str]:
        client = boto3.client("stepfunctions")
        executions = client.list_executions(stateMachineArn=self.machine)["executions"]
        return [entry["name"] for entry in executions]

    def waiting(self) -> list[str]:
        return [key for item in self.table.scan() for key in item.get("out", {})]


class RecordingEvents:
    """A client of EventBridge that adds accepted entries to ``accepted``."""

    def __init__(self, client: Any, accepted: list[Any]) -> None:
        self.client = client
        self.accepted = accepted

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def put_events(self, **arguments: Any) -> Any:
        answer = self.client.put_events(**arguments)
        results = zip(arguments["Entries"], answer["Entries"], strict=True)
        self.accepted += [entry for entry, result in results if "EventId" in result]
        return answer


def _as_lambda_gets_it(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record as JSON, with bytes in base64."""
    found: dict[str, Any] = json.loads(
        json.dumps(record, default=lambda one: "AA==" if isinstance(one, bytes) else str(one))
    )
    return found


@pytest.fixture(scope="module")
def client() -> Iterator[OneAtATime]:
    with pytest.MonkeyPatch.context() as environment, moto() as client:
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield client


@pytest.fixture
def aws(client: OneAtATime) -> AWS:
    return AWS(client)


def completed(record: OrderRecord) -> Change:
    entry = {"Source": "orders.service", "DetailType": "Order Completed", "Detail": '{"n": 1}'}
    return record.change(
        Entry("COMPLETED", NOW), messages=(Message("event", entry),), status=Status.COMPLETED
    )


def charged(aws: AWS) -> OrderRecord:
    return DynamoOrders(aws.table).save(order(version=0, status=Status.CHARGED).change())


def test_only_writes_with_messages_reach_the_relay(aws: AWS) -> None:
    store, record = DynamoOrders(aws.table), charged(aws)
    assert aws.stream() == []
    record = store.save(completed(record))
    store.note("A-1", Entry("DUPLICATE_IGNORED", NOW))
    store.save(record.change(email="ada@example.com"))
    [record_of_stream] = aws.stream()
    assert aws.relay([record_of_stream]) == {}
    assert aws.stream() == []  # its own removal brings nothing


def test_an_event_is_put_on_the_bus_and_removed_from_its_item(aws: AWS) -> None:
    DynamoOrders(aws.table).save(completed(charged(aws)))
    assert aws.relay(aws.stream()) == {}
    assert aws.events() == [{"Order Completed": {"n": 1}}]
    item = aws.table.get("order#A-1", "order")
    assert item is not None
    assert (item["out"], item["gpk"]) == ({}, "C-42")


def test_the_outcomes_of_orders_are_read_in_the_stream(aws: AWS) -> None:
    store = DynamoOrders(aws.table)
    done = store.save(completed(charged(aws)))
    detail = {"Source": "s", "DetailType": "Order Cancellation Refused", "Detail": "{}"}
    store.save(done.change(messages=(Message("event", detail),)))  # tells no outcome again
    failing = store.save(order(order_id="A-2", version=0, status=Status.COMPENSATING).change())
    detail = {"Source": "s", "DetailType": "Order Failed", "Detail": '{"reason": "OutOfStock"}'}
    store.save(
        failing.change(
            Entry("FAILED", NOW), messages=(Message("event", detail),), status=Status.FAILED
        )
    )
    first, second = outcomes(aws.stream())
    assert first.seconds == pytest.approx(60.0)
    assert (first.reason, second.seconds, second.reason) == (None, None, "OutOfStock")


def test_a_message_that_is_gone_from_an_outbox_fails_no_metric(aws: AWS) -> None:
    DynamoOrders(aws.table).save(completed(charged(aws)))
    [record] = aws.stream()
    record["dynamodb"]["NewImage"]["out"]["M"].clear()
    assert list(outcomes([record])) == []
    assert aws.relay([record]) == {}


def test_the_relay_counts_outcomes_as_metrics(
    aws: AWS, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "orders")
    monkeypatch.setattr(wiring, "relay_ports", aws.ports)
    DynamoOrders(aws.table).save(completed(charged(aws)))
    failed = order(order_id="A-2", version=0, status=Status.COMPENSATING)
    detail = {"Source": "s", "DetailType": "Order Failed", "Detail": '{"reason": "OutOfStock"}'}
    messages = (Message("event", detail),)
    DynamoOrders(aws.table).save(failed.change(messages=messages, status=Status.FAILED))
    context: Any = SimpleNamespace(
        function_name="relay", aws_request_id="1", get_remaining_time_in_millis=lambda: 60_000
    )
    assert relay_handler.handler({"Records": aws.stream()}, context) == {"batchItemFailures": []}
    documents = [
        json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line
    ]
    found = {
        metric["Name"]: document
        for document in documents
        for metric in document["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    }
    assert found["TimeToComplete"]["TimeToComplete"] == [pytest.approx(60.0)]
    assert found["OrdersFailedByReason"]["OrdersFailedByReason"] == [1.0]
    assert found["OrdersFailedByReason"]["reason"] == "OutOfStock"


def test_removing_a_message_causes_no_conflict(aws: AWS) -> None:
    store = DynamoOrders(aws.table)
    record = store.save(
        order(version=0).change(
            messages=(Message("event", {"Source": "s", "DetailType": "d", "Detail": "{}"}),)
        )
    )
    assert aws.relay(aws.stream()) == {}
    assert store.save(record.change(attempts=1)).attempts == 1


def test_a_message_added_meanwhile_stays(aws: AWS) -> None:
    store = DynamoOrders(aws.table)
    record = store.save(completed(charged(aws)))
    records = aws.stream()
    store.save(
        record.change(Entry("X", NOW), messages=(Message("run", {"name": "r", "input": {}}),))
    )
    assert aws.relay(records) == {}
    assert aws.waiting() == ["3.0"]
    item = aws.table.get("order#A-1", "order")
    assert item is not None
    assert "dp" in item
    assert aws.relay(aws.stream()) == {}
    assert (aws.waiting(), aws.runs()) == ([], ["r"])


def test_a_repeated_record_starts_its_run_once(aws: AWS) -> None:
    DynamoOrders(aws.table).send(Message("run", {"name": "A-1-1-cancel", "input": {"a": 1}}), NOW)
    records = aws.stream()
    assert aws.relay(records) == {}
    assert aws.relay(records) == {}
    assert aws.runs() == ["A-1-1-cancel"]
    assert list(aws.table.scan()) == []


def test_messages_to_a_queue_arrive(aws: AWS) -> None:
    store = DynamoOrders(aws.table)
    for number in range(12):
        store.send(Message("message", {"queue": aws.queue, "body": {"n": number}}), NOW)
    assert aws.relay(aws.stream()) == {}
    assert sorted(one["n"] for one in aws.messages()) == list(range(12))
    assert list(aws.table.scan()) == []


def test_a_missing_queue_is_reported_and_its_message_stays(aws: AWS) -> None:
    queue = f"{aws.queue}-nowhere"
    DynamoOrders(aws.table).send(Message("message", {"queue": queue, "body": {}}), NOW)
    [(_, problem)] = aws.relay(aws.stream()).items()
    assert "NonExistentQueue" in problem
    assert aws.waiting() == ["0"]


def test_a_missing_bus_is_reported_and_its_event_stays(aws: AWS) -> None:
    DynamoOrders(aws.table).save(completed(charged(aws)))
    answers = aws.relay(aws.stream(), AWSPublisher("nowhere", aws.machine, aws.connect))
    assert len(answers) == len(aws.waiting()) == 1


def test_a_crash_before_the_removal_repeats_the_event_with_the_same_id(aws: AWS) -> None:
    """F7."""
    ports = orders.Ports(DynamoOrders(aws.table), lambda: NOW, Policy())
    orders.place(created(), ports)
    records = aws.stream()
    aws.publisher.put(
        [
            message
            for item in aws.ports().outbox.overdue(NOW + 1, 9)
            for message in item.messages.values()
        ]
    )
    assert aws.relay(records) == {}  # the stream brings it again
    first, second = (entry["Order Created"]["metadata"]["event_id"] for entry in aws.events())
    assert first == second


def test_the_reconciler_sends_messages_of_dropped_stream_records(aws: AWS) -> None:
    """F34: nothing is lost after two days, and a young message is not sent."""
    ports = orders.Ports(DynamoOrders(aws.table), lambda: NOW, Policy())
    orders.place(created(), ports)
    orders.claim(envelope(order_id="A-2"), RUN, ports)
    aws.stream()  # forgotten
    assert catch_up(aws.ports(now=NOW + 60), lambda: 60.0) == (0, [])
    assert catch_up(aws.ports(now=NOW + 2 * 86_400), lambda: 60.0) == (1, [])
    assert [list(one) for one in aws.events()] == [["Order Created"]]
    assert aws.waiting() == []


def test_a_throttled_message_is_sent_at_the_streams_retry(aws: AWS) -> None:
    DynamoOrders(aws.table).save(completed(charged(aws)))
    records = aws.stream()
    assert aws.relay(records, FakePublisher(*[throttled] * ATTEMPTS))
    assert aws.relay(records) == {}
    assert len(aws.events()) == 1


def test_a_repeated_stream_record_is_a_duplicate_and_no_error(aws: AWS) -> None:
    store = DynamoOrders(aws.table)
    store.save(completed(charged(aws)))
    records = aws.stream()
    assert aws.relay(records) == aws.relay(records) == {}
    assert aws.waiting() == []
    assert aws.events() == [{"Order Completed": {"n": 1}}] * 2


def test_the_archive_is_replayed_to_the_rule_that_starts_runs(aws: AWS) -> None:
    events = boto3.client("events")
    bus = events.describe_event_bus(Name=aws.table.name)["Arn"]
    archive = events.create_archive(ArchiveName=aws.table.name, EventSourceArn=bus)["ArchiveArn"]
    rule = events.put_rule(Name="r", EventBusName=aws.table.name, EventPattern="{}")["RuleArn"]
    EventArchive(archive, bus, rule, aws.connect).replay(NOW - 60, NOW)
    [replay] = events.list_replays(EventSourceArn=archive)["Replays"]
    found = events.describe_replay(ReplayName=replay["ReplayName"])
    assert found["Destination"] == {"Arn": bus, "FilterArns": [rule]}
    assert found["EventStartTime"].timestamp() == NOW - 60
    assert found["EventEndTime"].timestamp() == NOW


def test_a_missing_archive_raises_an_error_with_a_remedy(aws: AWS) -> None:
    bus = boto3.client("events").describe_event_bus(Name=aws.table.name)["Arn"]
    archive = "arn:aws:events:us-east-1:123456789012:archive/nowhere"
    with pytest.raises(StoreError, match=r"the archive .*nowhere d"):
        EventArchive(archive, bus, "rule", aws.connect).replay(NOW - 60, NOW)
