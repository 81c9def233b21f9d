"""Requests of AWS's clients: any JSON is answered or refused, and the engine continues."""

import json
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from infra.errors import InvalidRequest
from infra.server.aws_api import AwsApi
from tests.fakes.runtime import BUS, NOW, Rig, entry
from tests.strategies import damaged, json_objects, json_values, nested

ARN = "arn:aws:states:us-east-1:000000000000"
LETTERS = "https://sqs.us-east-1.amazonaws.com/000000000000/WorkLetters"
FEWER = max(settings().max_examples // 10, 10)

texts = st.sampled_from(["", "shop", "Work", "Flow", BUS, "{}", "[]", '{"order_id": 5}', "é", "\0"])
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
entries = st.fixed_dictionaries(
    {"EventBusName": st.just(BUS), "Source": st.just("shop"), "DetailType": st.just("Work")},
    optional={
        "Detail": json_objects.map(json.dumps) | texts | json_values,
        "Resources": st.lists(json_values, max_size=2) | texts | json_objects,
        "TraceHeader": json_values,
    },
)
EVENTS = "arn:aws:events:us-east-1:000000000000"
VALID: dict[str, dict[str, Any]] = {
    "AWSEvents.PutEvents": {"Entries": [entry(), entry("Flow")]},
    "AWSEvents.TestEventPattern": {
        "EventPattern": '{"source": ["shop"]}',
        "Event": json.dumps(
            dict.fromkeys(["id", "account", "source", "time", "region", "resources"], "x")
            | {"detail-type": "Work", "detail": {}}
        ),
    },
    "AWSEvents.StartReplay": {
        "ReplayName": "again",
        "EventSourceArn": "arn:aws:events:us-east-1:000000000000:archive/shop-archive",
        "EventStartTime": NOW - 60,
        "EventEndTime": NOW + 60,
        "Destination": {
            "Arn": f"{EVENTS}:event-bus/{BUS}",
            "FilterArns": [f"{EVENTS}:rule/{BUS}/WorkRule"],
        },
    },
    "AWSEvents.DescribeReplay": {"ReplayName": "again"},
    "AWSStepFunctions.StartExecution": {
        "stateMachineArn": f"{ARN}:stateMachine:shop-flow",
        "name": "two",
        "input": '{"order_id": "A-1"}',
    },
    "AWSStepFunctions.DescribeExecution": {"executionArn": f"{ARN}:execution:shop-flow:one"},
    "AWSStepFunctions.GetExecutionHistory": {
        "executionArn": f"{ARN}:execution:shop-flow:one",
        "maxResults": 2,
        "reverseOrder": True,
    },
    "AWSStepFunctions.ListExecutions": {
        "stateMachineArn": f"{ARN}:stateMachine:shop-flow",
        "statusFilter": "RUNNING",
        "maxResults": 2,
    },
    "AWSStepFunctions.StopExecution": {
        "executionArn": f"{ARN}:execution:shop-flow:one",
        "error": "Operator",
        "cause": "by hand",
    },
    "AWSStepFunctions.DescribeStateMachine": {"stateMachineArn": f"{ARN}:stateMachine:shop-flow"},
    "AWSStepFunctions.ListStateMachines": {"maxResults": 1},
    "AWSEvents.DescribeEventBus": {"Name": "shop-bus"},
    "AWSEvents.ListRules": {"EventBusName": "shop-bus", "NamePrefix": "W", "Limit": 1},
    "AWSEvents.ListTargetsByRule": {"EventBusName": "shop-bus", "Rule": "WorkRule", "Limit": 1},
    "AmazonSQS.ReceiveMessage": {
        "QueueUrl": LETTERS,
        "MaxNumberOfMessages": 1,
        "VisibilityTimeout": 1,
        "AttributeNames": ["All"],
    },
    "AmazonSQS.DeleteMessage": {"QueueUrl": LETTERS, "ReceiptHandle": "1-1"},
    "AmazonSQS.GetQueueAttributes": {"QueueUrl": LETTERS, "AttributeNames": ["All"]},
    "AmazonSQS.GetQueueUrl": {"QueueName": "WorkLetters"},
    "AmazonSQS.ListQueues": {"QueueNamePrefix": "W", "MaxResults": 2},
    "Orderflow.RedriveDeadLetters": {"ids": [1], "who": "ada"},
    "Orderflow.DiscardDeadLetters": {"ids": [1], "reason": "spam", "who": "ada"},
    "Orderflow.RestoreDeadLetters": {"ids": [1], "who": "ada"},
    "Orderflow.EditDeadLetter": {"id": 1, "event": {"source": "orders.service"}, "who": "ada"},
}


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("requests"), handlers={"Step": lambda _: None})
    rig.start("one")
    yield rig
    rig.close()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, handlers={"Step": lambda _: None})
    rig.start("one")
    yield rig
    rig.close()


def answer_to(rig: Rig, operation: str, body: bytes) -> dict[str, Any] | None:
    """Return the answer to a request, or None if it is refused with AWS's error code."""
    api = AwsApi(rig.engine, rig.database)
    try:
        answer = api.answer(operation, body)
        if isinstance(answer, Future):
            rig.turn()
            answer = answer.result(0)
    except InvalidRequest as error:
        assert error.code
        assert str(error)
        answer = None
    rig.turn(2)
    if answer is not None:
        orjson.dumps(answer)
    return answer


def count(rig: Rig) -> int:
    """Return the number of events in the journal."""
    [row] = rig.rows("select count(*) as events from events")
    return int(row["events"])


@given(st.lists(entries, max_size=3) | json_values)
def test_exactly_the_accepted_entries_are_in_the_journal(rig: Rig, given_entries: Any) -> None:
    before = count(rig)
    answer = answer_to(rig, "AWSEvents.PutEvents", orjson.dumps({"Entries": given_entries}))
    accepted = [entry for entry in answer["Entries"] if "EventId" in entry] if answer else []
    assert count(rig) == before + len(accepted)


@given(st.binary(max_size=20) | json_values.map(lambda value: json.dumps(value).encode()))
@example(nested(100_000).encode())
def test_any_body_of_any_operation_is_answered_or_refused(rig: Rig, body: bytes) -> None:
    for operation in (*VALID, "AWSEvents.Nonsense", ""):
        answer_to(rig, operation, body)


def test_an_event_too_complex_for_a_pattern_is_not_valid(fresh: Rig) -> None:
    pattern = {"detail": {"a": {"b": {"x": [1], "y": [1], "z": [1]}}}}
    detail = {"a.b": [{"x": 1}] * 900, "a": {"b": [{"y": 1}, {"z": 1}] * 900}}
    sound = VALID["AWSEvents.TestEventPattern"]
    event = json.dumps(json.loads(sound["Event"]) | {"detail": detail})
    request = {"EventPattern": json.dumps(pattern), "Event": event}
    with pytest.raises(
        InvalidRequest, match=r"Parameter Event is not valid.*too complex"
    ) as refused:
        AwsApi(fresh.engine, fresh.database).answer(
            "AWSEvents.TestEventPattern", orjson.dumps(request)
        )
    assert refused.value.code == "ValidationException"


@pytest.mark.parametrize("operation", VALID)
def test_valid_requests_are_answered(fresh: Rig, operation: str) -> None:
    answer = answer_to(fresh, operation, orjson.dumps(VALID[operation]))
    assert (answer is None) is (operation == "AWSEvents.DescribeReplay")


UNWRITABLE: dict[str, dict[str, Any]] = {
    "a detail type that is a list": {"Entries": [entry(DetailType=["Work"])]},
    "resources that are a number": {"Entries": [entry(Resources=5)]},
    "a detail deeper than EventBridge takes": {"Entries": [entry(Detail=nested(1_001, '{"a":'))]},
}
UNREADABLE: dict[str, tuple[str, dict[str, Any]]] = {
    "a rule that is null": ("AWSEvents.StartReplay", {"Destination": {"FilterArns": [None]}}),
    "rules under text": ("AWSEvents.StartReplay", {"Destination": "all"}),
    "a name that is a list": ("AWSStepFunctions.StartExecution", {"name": [1]}),
    "a page that is text": ("AWSStepFunctions.GetExecutionHistory", {"maxResults": "2"}),
    "a page token in words": ("AWSStepFunctions.GetExecutionHistory", {"nextToken": "next"}),
    "a status that is a list": ("AWSStepFunctions.ListExecutions", {"statusFilter": ["RUNNING"]}),
    "a list's page that is text": ("AWSStepFunctions.ListExecutions", {"maxResults": ":"}),
    "a list's token in words": ("AWSStepFunctions.ListExecutions", {"nextToken": "next"}),
    "a page below zero": ("AWSStepFunctions.ListExecutions", {"maxResults": -1}),
    "a page of a thousand and one": ("AWSStepFunctions.ListExecutions", {"maxResults": 1001}),
    "a page beyond 64 bits": ("AWSStepFunctions.ListExecutions", {"maxResults": 2**63}),
    "a page that is true": ("AWSStepFunctions.ListExecutions", {"maxResults": True}),
    "a history's page below zero": ("AWSStepFunctions.GetExecutionHistory", {"maxResults": -1}),
    "a token beyond 64 bits": ("AWSStepFunctions.ListExecutions", {"nextToken": "9" * 19}),
    "a token of many digits": ("AWSStepFunctions.GetExecutionHistory", {"nextToken": "9" * 5_000}),
    "a time beyond 64 bits": ("AWSEvents.StartReplay", {"EventStartTime": 2**64}),
    "an express number beyond 64 bits": (
        "AWSStepFunctions.DescribeExecution",
        {"executionArn": f"{ARN}:express:shop-flow:n:" + "9" * 24},
    ),
    "an id beyond 64 bits": ("Orderflow.RedriveDeadLetters", {"ids": [2**63]}),
    "an input deeper than 1,000": ("AWSStepFunctions.StartExecution", {"input": nested(1_001)}),
    "an input that is NaN": ("AWSStepFunctions.StartExecution", {"input": "NaN"}),
    "an id in words": ("Orderflow.RedriveDeadLetters", {"ids": ["one"]}),
    "ids that are no list": ("Orderflow.RedriveDeadLetters", {"ids": 5}),
    "a restored id beyond 64 bits": ("Orderflow.RestoreDeadLetters", {"ids": [1 << 63]}),
    "an id that is true": ("Orderflow.EditDeadLetter", {"id": True}),
    "no reason": ("Orderflow.DiscardDeadLetters", {"reason": " "}),
    "a reason that is a list": ("Orderflow.DiscardDeadLetters", {"reason": ["spam"]}),
    "no letters to discard": ("Orderflow.DiscardDeadLetters", {"ids": []}),
}


@pytest.mark.parametrize("request_body", UNWRITABLE.values(), ids=UNWRITABLE)
def test_an_entry_that_cannot_be_stored_is_refused_and_the_engine_continues(
    fresh: Rig, request_body: dict[str, Any]
) -> None:
    answer = answer_to(fresh, "AWSEvents.PutEvents", orjson.dumps(request_body))
    assert answer is None or answer["FailedEntryCount"] == 1
    assert count(fresh) == 0


@pytest.mark.parametrize(("operation", "fields"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_field_of_another_type_is_refused(
    fresh: Rig, operation: str, fields: dict[str, Any]
) -> None:
    assert answer_to(fresh, operation, json.dumps({**VALID[operation], **fields}).encode()) is None


def refusal(rig: Rig, operation: str, fields: dict[str, Any]) -> tuple[str, str]:
    """Return the code and the message of a refusal."""
    with pytest.raises(InvalidRequest) as refused:
        AwsApi(rig.engine, rig.database).answer(operation, json.dumps(fields).encode())
    return refused.value.code, str(refused.value)


NO_EVENT = {
    "a number": "5",
    "null": "null",
    "true": "true",
    "a list": "[]",
    "text with all names in it": '"id account source time region resources detail-type"',
    "no JSON": "{",
    "NaN": '{"id": NaN}',
    "deeper than 1,000 levels": nested(1_001, '{"a":'),
    "far deeper": nested(100_000),
    "a lone surrogate": '{"id": "\\ud800"}',
}


@pytest.mark.parametrize("event", NO_EVENT.values(), ids=NO_EVENT)
def test_a_malformed_event_for_a_pattern_is_not_valid(fresh: Rig, event: str) -> None:
    fields = {"EventPattern": '{"source": ["shop"]}', "Event": event}
    expected = ("ValidationException", "Parameter Event is not valid.")
    assert refusal(fresh, "AWSEvents.TestEventPattern", fields) == expected


@pytest.mark.parametrize("pattern", [nested(1_001), nested(100_000), nested(100_000, '{"a":')])
def test_a_pattern_that_is_nested_too_deep_is_refused(fresh: Rig, pattern: str) -> None:
    fields = {"EventPattern": pattern, "Event": VALID["AWSEvents.TestEventPattern"]["Event"]}
    code, _ = refusal(fresh, "AWSEvents.TestEventPattern", fields)
    assert code == "InvalidEventPatternException"


@pytest.mark.parametrize(
    ("size", "bound"),
    [(-1, "greater than or equal to 0"), (1_001, "less than or equal to 1000")],
)
def test_a_page_out_of_bounds_is_refused_with_the_bound(fresh: Rig, size: int, bound: str) -> None:
    fields = {**VALID["AWSStepFunctions.ListExecutions"], "maxResults": size}
    code, message = refusal(fresh, "AWSStepFunctions.ListExecutions", fields)
    assert code == "ValidationException"
    assert f"Value '{size}' at 'maxResults'" in message
    assert message.endswith(f"Member must have value {bound}")


def test_a_page_size_of_0_is_the_default(fresh: Rig) -> None:
    fields = {**VALID["AWSStepFunctions.ListExecutions"], "maxResults": 0, "nextToken": None}
    answer = answer_to(fresh, "AWSStepFunctions.ListExecutions", json.dumps(fields).encode())
    assert answer is not None
    assert [execution["name"] for execution in answer["executions"]] == ["one"]


@pytest.mark.parametrize("operation", VALID)
@settings(max_examples=FEWER)
@given(data=st.data())
def test_a_damaged_request_is_answered_or_refused(
    fresh: Rig, operation: str, data: st.DataObject
) -> None:
    answer_to(fresh, operation, orjson.dumps(data.draw(damaged(st.just(VALID[operation])))))
