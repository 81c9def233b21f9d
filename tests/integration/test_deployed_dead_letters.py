"""Dead letters of a deployed stack: seen without being taken, sent back to where they failed."""

import json
from typing import Any

import pytest

from infra.cli.output import CommandError
from infra.deployed.dead_letters import DeadLetters
from infra.deployed.stack import DeployedStack
from tests.integration.deployed import QUEUES, REGION, answer, arn_of, refusal

EVENT = {"id": "e-1", "detail-type": "Order Cancelled", "detail": {"order_id": "A-1"}}
MACHINE = f"arn:aws:states:{REGION}:123456789012:stateMachine:orderflow-order-processing"
STREAM = f"arn:aws:firehose:{REGION}:123456789012:deliverystream/events"
FUNCTION = f"arn:aws:lambda:{REGION}:123456789012:function:daily-report:live"

DENIED = {"ERROR_CODE": "NO_PERMISSIONS", "ERROR_MESSAGE": "not authorized"}
INVALID = {"error": "InvalidEvent", "message": "detail.total: is missing"}
FAILED_TASK = {"error": "CarrierError", "cause": json.dumps({"errorMessage": "no answer"})}

QUARANTINED = {"consumer": "order_processing", "reason": INVALID, "event": EVENT}
ATTENTION = {"consumer": "order_processing", "reason": FAILED_TASK, "order_id": "A-1"}
UNREADABLE = {"consumer": "flag_high_value", "reason": INVALID, "event": "{not JSON"}
OF_A_SCHEDULE = {
    "requestContext": {"functionArn": FUNCTION, "condition": "RetriesExhausted"},
    "requestPayload": {"time": "2026-01-31T09:00:00Z"},
    "responsePayload": {"errorType": "WarehouseError", "errorMessage": "no answer"},
}
OF_THE_RELAY = {
    "requestContext": {"functionArn": "relay", "condition": "RetryAttemptsExhausted"},
    "DDBStreamBatchInfo": {"batchSize": 3},
}


def put(stack: DeployedStack, queue: str, body: object, **attributes: str) -> str:
    """Leave a letter in a queue; return its id."""
    sent = stack.client("sqs").send_message(
        QueueUrl=stack.name(queue),
        MessageBody=body if isinstance(body, str) else json.dumps(body),
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
        },
    )
    return str(sent["MessageId"])


def texts(stack: DeployedStack, queue: str) -> list[str]:
    """Take what is in a queue."""
    taken = stack.client("sqs").receive_message(
        QueueUrl=stack.name(queue), MaxNumberOfMessages=10, VisibilityTimeout=0
    )
    return [message["Body"] for message in taken.get("Messages", [])]


def runs(stack: DeployedStack) -> list[tuple[str, Any]]:
    """Return the names and the inputs of the workflow's runs."""
    client = stack.client("stepfunctions")
    found = client.list_executions(stateMachineArn=stack.name("OrderProcessing"))["executions"]
    told = [client.describe_execution(executionArn=run["executionArn"]) for run in found]
    return [(one["name"], json.loads(one["input"])) for one in told]


def letters_of(stack: DeployedStack) -> DeadLetters:
    return DeadLetters(stack, patience=0)


# ---- what is told


@pytest.mark.parametrize(
    ("queue", "body", "attributes", "told"),
    [
        (
            "OrderChangesDeadLetterQueue",
            EVENT,
            {},
            ("received 60 times without success", "A-1", "OrderChangesQueue"),
        ),
        (
            "TargetsDeadLetterQueue",
            EVENT,
            {"TARGET_ARN": MACHINE, **DENIED},
            ("NO_PERMISSIONS: not authorized", "A-1", MACHINE),
        ),
        (
            "QuarantineQueue",
            QUARANTINED,
            {},
            ("InvalidEvent: detail.total: is missing", "A-1", "order_processing"),
        ),
        ("AttentionQueue", ATTENTION, {}, ("CarrierError: no answer", "A-1", "order_processing")),
        (
            "SchedulesDeadLetterQueue",
            OF_A_SCHEDULE,
            {},
            ("WarehouseError: no answer", None, FUNCTION),
        ),
        ("RelayDeadLetterQueue", OF_THE_RELAY, {}, ("RetryAttemptsExhausted", None, "relay")),
        ("QuarantineQueue", "hello", {}, ("unknown", None, None)),
    ],
)
def test_a_letter_tells_its_reason_its_order_and_where_it_failed(
    stack: DeployedStack, queue: str, body: object, attributes: dict[str, str], told: object
) -> None:
    number = put(stack, queue, body, **attributes)
    [letter] = letters_of(stack).letters()
    assert (letter["id"], letter["queue"], letter["body"]) == (number, queue, body)
    assert (letter["reason"], letter["order_id"], letter["from"]) == told


def test_looking_takes_no_letter_away_and_hides_none(stack: DeployedStack) -> None:
    sent = {put(stack, "QuarantineQueue", {**QUARANTINED, "n": n}) for n in range(25)}
    for _ in range(2):
        assert {letter["id"] for letter in letters_of(stack).letters()} == sent


def test_every_queue_that_nobody_consumes_is_looked_at(stack: DeployedStack) -> None:
    consumed = {name for name, one in QUEUES.items() if "RedrivePolicy" in one["Properties"]}
    for name in QUEUES:
        put(stack, name, {})
    assert {letter["queue"] for letter in letters_of(stack).letters()} == QUEUES.keys() - consumed


# ---- the way back


@pytest.mark.parametrize(
    ("dead", "body", "attributes", "goal"),
    [
        ("OrderChangesDeadLetterQueue", EVENT, {}, "OrderChangesQueue"),
        ("ConfirmationsDeadLetterQueue", {"order_id": "A-1"}, {}, "ConfirmationsQueue"),
        (
            "TargetsDeadLetterQueue",
            EVENT,
            {"TARGET_ARN": arn_of("HighValueQueue")},
            "HighValueQueue",
        ),
    ],
)
def test_a_letter_goes_back_to_its_queue(
    stack: DeployedStack, dead: str, body: object, attributes: dict[str, str], goal: str
) -> None:
    number = put(stack, dead, body, **attributes)
    assert letters_of(stack).redrive([number]).sent == 1
    assert [json.loads(text) for text in texts(stack, goal)] == [body]
    assert texts(stack, dead) == []


def test_a_quarantined_event_goes_to_its_consumer_as_it_came(stack: DeployedStack) -> None:
    letters_of(stack).redrive([put(stack, "QuarantineQueue", UNREADABLE)])
    assert texts(stack, "HighValueQueue") == ["{not JSON"]


@pytest.mark.parametrize(
    ("queue", "body", "attributes", "given"),
    [
        ("QuarantineQueue", QUARANTINED, {}, EVENT),
        ("AttentionQueue", ATTENTION, {}, {"resume": {"order_id": "A-1"}}),
        ("TargetsDeadLetterQueue", EVENT, {"TARGET_ARN": MACHINE}, EVENT),
    ],
)
def test_a_letter_of_the_workflow_starts_it_again(
    stack: DeployedStack, queue: str, body: object, attributes: dict[str, str], given: object
) -> None:
    number = put(stack, queue, body, **attributes)
    letters_of(stack).redrive([number])
    assert runs(stack) == [(f"redrive-{number}", given)]
    assert texts(stack, queue) == []


def test_an_event_that_firehose_did_not_take_is_put_into_its_stream(stack: DeployedStack) -> None:
    letters_of(stack).redrive([put(stack, "TargetsDeadLetterQueue", EVENT, TARGET_ARN=STREAM)])
    bucket, s3 = stack.name("AnalyticsBucket"), stack.client("s3")
    [stored] = s3.list_objects_v2(Bucket=bucket)["Contents"]
    body = s3.get_object(Bucket=bucket, Key=stored["Key"])["Body"].read()
    assert json.loads(body) == EVENT


@pytest.mark.parametrize(
    ("queue", "body", "attributes", "call"),
    [
        (
            "SchedulesDeadLetterQueue",
            OF_A_SCHEDULE,
            {},
            (FUNCTION, OF_A_SCHEDULE["requestPayload"]),
        ),
        ("SchedulesDeadLetterQueue", {}, {"TARGET_ARN": FUNCTION, **DENIED}, (FUNCTION, {})),
        ("RelayDeadLetterQueue", OF_THE_RELAY, {}, ("reconcile", {})),
    ],
)
def test_a_failed_call_is_called_again_and_for_the_relay_the_reconciler(
    stack: DeployedStack, queue: str, body: object, attributes: dict[str, str], call: object
) -> None:
    letters_of(stack).redrive([put(stack, queue, body, **attributes)])
    assert stack.account.functions.calls == [call]  # type: ignore[attr-defined]
    assert texts(stack, queue) == []


def test_of_all_letters_sqs_moves_those_that_a_queue_gave_up(stack: DeployedStack) -> None:
    put(stack, "OrderChangesDeadLetterQueue", EVENT)
    put(stack, "QuarantineQueue", UNREADABLE)
    done = letters_of(stack).redrive()
    assert (done.sent, done.moving["OrderChangesDeadLetterQueue"]) == (1, 1)
    assert texts(stack, "OrderChangesQueue") == [json.dumps(EVENT)]
    assert letters_of(stack).letters() == []


# ---- what is not sent


def test_a_letter_stays_until_its_goal_has_accepted_it(stack: DeployedStack) -> None:
    first, second = (
        put(stack, "QuarantineQueue", UNREADABLE),
        put(stack, "AttentionQueue", ATTENTION),
    )
    machine = stack.name("OrderProcessing")
    stack.client("stepfunctions").delete_state_machine(stateMachineArn=machine)
    with pytest.raises(
        CommandError, match=f"1 of 2 dead letters were sent; {second} was not found"
    ):
        letters_of(stack).redrive([first, second])
    assert [letter["id"] for letter in letters_of(stack).letters()] == [second]


@pytest.mark.parametrize("body", ["hello", {}, {"consumer": "nobody", "event": EVENT}, [1]])
def test_beside_a_letter_without_a_way_back_nothing_is_sent(
    stack: DeployedStack, body: object
) -> None:
    good, bad = put(stack, "QuarantineQueue", QUARANTINED), put(stack, "QuarantineQueue", body)
    with pytest.raises(CommandError, match=f"dead letter {bad} has no way back"):
        letters_of(stack).redrive([good, bad])
    assert runs(stack) == []
    assert {letter["id"] for letter in letters_of(stack).letters()} == {good, bad}


def test_a_letter_that_was_not_seen_is_told_of(stack: DeployedStack) -> None:
    put(stack, "QuarantineQueue", QUARANTINED)
    with pytest.raises(CommandError, match="no dead letter nobody was seen"):
        letters_of(stack).redrive(["nobody"])
    assert runs(stack) == []


def test_a_run_that_was_started_before_is_accepted(stack: DeployedStack) -> None:
    number = put(stack, "QuarantineQueue", QUARANTINED)
    stack.client("stepfunctions").start_execution(
        stateMachineArn=stack.name("OrderProcessing"), name=f"redrive-{number}", input="{}"
    )
    assert letters_of(stack).redrive([number]).sent == 1
    assert texts(stack, "QuarantineQueue") == []


# ---- the commands


def test_letters_are_listed_shown_and_redriven_by_their_ids(stack: DeployedStack) -> None:
    number = put(stack, "QuarantineQueue", QUARANTINED)
    [letter] = answer("dead-letters", "list", "--queue", "QuarantineQueue")["dead_letters"]
    assert letter["id"] == number
    assert answer("dead-letters", "show", number)["body"] == QUARANTINED
    assert answer("dead-letters", "redrive", number)["redriven"] == 1
    assert refusal("dead-letters", "show", number, "--region", REGION).startswith(
        "there is no dead"
    )


def test_a_queue_that_holds_no_dead_letters_is_refused(stack: DeployedStack) -> None:
    said = refusal("dead-letters", "list", "--queue", "HighValueQueue", "--region", REGION)
    assert "'HighValueQueue' is no dead-letter queue; these are: HighValueDeadLetterQueue" in said
