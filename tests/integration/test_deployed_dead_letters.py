"""Dead letters of a deployed stack: seen without being taken, sent back to where they failed."""

import json
import time
from threading import Timer
from typing import Any

import pytest

from infra.deployed.dead_letters import DeployedDeadLetters
from infra.deployed.stack import DeployedStack
from kernel.order_record import Entry, Line, OrderRecord
from kernel.order_status import Status
from lambda_support.batches import FAILED_MESSAGES
from orders.dynamodb import DynamoOrders
from tests.integration.deployed import QUEUES, REGION, answer, arn_of, refusal

EVENT = {"id": "e-1", "detail-type": "Order Cancelled", "detail": {"order_id": "A-1"}}
MACHINE = f"arn:aws:states:{REGION}:123456789012:stateMachine:orderflow-order-processing"
STREAM = f"arn:aws:firehose:{REGION}:123456789012:deliverystream/events"
FUNCTION = f"arn:aws:lambda:{REGION}:123456789012:function:daily-report:live"

DENIED = {"ERROR_CODE": "NO_PERMISSIONS", "ERROR_MESSAGE": "not authorized"}
INVALID = {"error": "InvalidEvent", "message": "detail.total: is missing"}
FAILED_TASK = {"error": "CarrierError", "cause": json.dumps({"errorMessage": "no answer"})}

QUARANTINED = {"consumer": "order_processing", "reason": INVALID, "event": EVENT}
ATTENTION = {
    "consumer": "order_processing",
    "execution": "run-1",
    "reason": FAILED_TASK,
    "order_id": "A-1",
}
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


def letters_of(stack: DeployedStack) -> DeployedDeadLetters:
    return DeployedDeadLetters(stack, patience=0)


def redriven(stack: DeployedStack, *ids: str, wait: float = 0.0) -> list[dict[str, Any]]:
    """Redrive letters; return what is answered for each."""
    found: list[dict[str, Any]] = letters_of(stack).redrive(ids, wait)["letters"]
    return found


def opened(stack: DeployedStack, **fields: Any) -> DynamoOrders:
    """Write the order A-1 with these fields."""
    orders, now = DynamoOrders(stack.table()), time.time()
    record = OrderRecord(
        order_id="A-1",
        customer_id="C-1",
        currency="USD",
        total=1000,
        items=(Line("TEA", 1, 1000),),
        placed_at="2026-01-31T12:00:00Z",
        content_hash="hash",
        event_id="event",
        correlation_id="event",
        created_at=now,
        updated_at=now,
    )
    orders.save(record.change(Entry("RECEIVED", now), **fields))
    return orders


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
def test_a_dead_letter_has_its_reason_its_order_and_its_source(
    stack: DeployedStack, queue: str, body: object, attributes: dict[str, str], told: object
) -> None:
    number = put(stack, queue, body, **attributes)
    [letter] = letters_of(stack).open()
    assert (letter.id, letter.queue, letter.body) == (number, queue, body)
    assert (letter.reason, letter.order_id, letter.source) == told


def test_listing_neither_removes_nor_hides_dead_letters(stack: DeployedStack) -> None:
    sent = {put(stack, "QuarantineQueue", {**QUARANTINED, "n": n}) for n in range(25)}
    for _ in range(2):
        assert {letter.id for letter in letters_of(stack).open()} == sent


def test_every_queue_without_a_consumer_is_listed(stack: DeployedStack) -> None:
    consumed = {name for name, one in QUEUES.items() if "RedrivePolicy" in one["Properties"]}
    for name in QUEUES:
        put(stack, name, {})
    assert {letter.queue for letter in letters_of(stack).open()} == QUEUES.keys() - consumed


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
def test_a_dead_letter_goes_back_to_its_queue(
    stack: DeployedStack, dead: str, body: object, attributes: dict[str, str], goal: str
) -> None:
    number = put(stack, dead, body, **attributes)
    [done] = redriven(stack, number)
    assert (done["id"], done["state"]) == (number, "sent")
    assert goal in done["message"]
    assert [json.loads(text) for text in texts(stack, goal)] == [body]
    assert texts(stack, dead) == []


def test_a_redriven_message_has_the_id_of_its_dead_letter(stack: DeployedStack) -> None:
    number = put(stack, "OrderChangesDeadLetterQueue", EVENT)
    redriven(stack, number)
    [message] = stack.client("sqs").receive_message(
        QueueUrl=stack.name("OrderChangesQueue"), MessageAttributeNames=["All"]
    )["Messages"]
    assert message["MessageAttributes"]["REDRIVEN"]["StringValue"] == number


def test_a_quarantined_event_goes_to_its_consumer_unchanged(stack: DeployedStack) -> None:
    redriven(stack, put(stack, "QuarantineQueue", UNREADABLE))
    assert texts(stack, "HighValueQueue") == ["{not JSON"]


@pytest.mark.parametrize(
    ("queue", "body", "attributes", "given"),
    [
        ("QuarantineQueue", QUARANTINED, {}, EVENT),
        ("AttentionQueue", ATTENTION, {}, {"resume": {"order_id": "A-1", "after": "run-1"}}),
        ("TargetsDeadLetterQueue", EVENT, {"TARGET_ARN": MACHINE}, EVENT),
    ],
)
def test_a_dead_letter_of_the_workflow_is_deleted_once_its_run_has_the_order(
    stack: DeployedStack, queue: str, body: object, attributes: dict[str, str], given: object
) -> None:
    number = put(stack, queue, body, **attributes)
    [done] = redriven(stack, number)
    assert runs(stack) == [(f"redrive-{number}", given)]
    assert (done["state"], texts(stack, queue)) == ("running", [json.dumps(body)])
    opened(stack, lease_owner=f"redrive-{number}", lease_until=time.time() + 300, epoch=1)
    [again] = redriven(stack, number)
    assert "its run redrive-" in again["message"]
    assert len(runs(stack)) == 1
    assert texts(stack, queue) == []


def test_a_redrive_waits_for_the_outcome_of_its_run(stack: DeployedStack) -> None:
    number = put(stack, "AttentionQueue", ATTENTION)
    orders = opened(stack, status=Status.COMPENSATING, lease_owner="run-1", lease_until=9e9)

    def end() -> None:
        record = orders.read("A-1")
        change = record.change(Entry("FAILED", time.time()), status=Status.FAILED, lease_owner=None)
        orders.save(change)

    ending = Timer(0.3, end)
    ending.start()
    [done] = redriven(stack, number, wait=5.0)
    ending.join()
    assert (done["state"], done["message"]) == ("done", "order A-1: FAILED")
    assert texts(stack, "AttentionQueue") == []


def test_an_ignored_run_leaves_the_dead_letter_with_the_reason(stack: DeployedStack) -> None:
    number = put(stack, "AttentionQueue", ATTENTION)
    opened(stack, status=Status.COMPENSATING, lease_owner="run-2", lease_until=9e9)
    [done] = redriven(stack, number)
    assert done["state"] == "running"
    assert "has not taken the order, and the dead letter stays" in done["message"]
    assert "held by run run-2" in done["message"]
    assert texts(stack, "AttentionQueue") == [json.dumps(ATTENTION)]


def test_a_dead_letter_of_the_run_replaces_the_redriven_one(
    stack: DeployedStack,
) -> None:
    number = put(stack, "AttentionQueue", ATTENTION)
    anew = put(stack, "AttentionQueue", {**ATTENTION, "execution": f"redrive-{number}"})
    [done] = redriven(stack, number)
    assert (done["state"], done["letter"]) == ("back", anew)
    assert done["message"] == "back in AttentionQueue: CarrierError: no answer"
    assert [letter.id for letter in letters_of(stack).open()] == [anew]


def test_a_lease_is_taken_over_from_a_run_that_has_ended_as_step_functions_says(
    stack: DeployedStack,
) -> None:
    client, machine = stack.client("stepfunctions"), stack.name("OrderProcessing")
    other = client.start_execution(stateMachineArn=machine, name="run-7", input="{}")
    client.stop_execution(executionArn=other["executionArn"])
    opened(stack, status=Status.COMPENSATING, lease_owner="run-7", lease_until=9e9)
    number = put(stack, "AttentionQueue", ATTENTION)
    redriven(stack, number)
    given = {"resume": {"order_id": "A-1", "after": "run-7"}}
    assert (f"redrive-{number}", given) in runs(stack)


def test_an_event_that_firehose_refused_is_put_into_its_stream(stack: DeployedStack) -> None:
    redriven(stack, put(stack, "TargetsDeadLetterQueue", EVENT, TARGET_ARN=STREAM))
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
def test_a_failed_call_is_repeated_and_for_the_relay_the_reconciler_is_called(
    stack: DeployedStack, queue: str, body: object, attributes: dict[str, str], call: object
) -> None:
    redriven(stack, put(stack, queue, body, **attributes))
    assert stack.account.functions.calls == [call]  # type: ignore[attr-defined]
    assert texts(stack, queue) == []


def test_redrive_all_lets_sqs_move_messages_that_a_queue_gave_up(stack: DeployedStack) -> None:
    put(stack, "OrderChangesDeadLetterQueue", EVENT)
    put(stack, "QuarantineQueue", UNREADABLE)
    done = letters_of(stack).redrive()
    assert [one["state"] for one in done["letters"]] == ["sent"]
    assert done["moving"]["OrderChangesDeadLetterQueue"] == 1
    assert texts(stack, "OrderChangesQueue") == [json.dumps(EVENT)]
    assert letters_of(stack).open() == []


# ---- what is not sent


def test_a_dead_letter_stays_until_its_destination_accepts_it(
    stack: DeployedStack,
) -> None:
    first, second = (
        put(stack, "AttentionQueue", ATTENTION),
        put(stack, "QuarantineQueue", UNREADABLE),
    )
    machine = stack.name("OrderProcessing")
    stack.client("stepfunctions").delete_state_machine(stateMachineArn=machine)
    refused, sent = redriven(stack, first, second)
    assert (refused["id"], refused["state"]) == (first, "refused")
    assert "was not found" in refused["message"]
    assert (sent["id"], sent["state"]) == (second, "sent")
    assert [letter.id for letter in letters_of(stack).open()] == [first]


@pytest.mark.parametrize("body", ["hello", {}, {"consumer": "nobody", "event": EVENT}, [1]])
def test_a_dead_letter_without_a_destination_stays_and_affects_no_other(
    stack: DeployedStack, body: object
) -> None:
    bad, good = put(stack, "QuarantineQueue", body), put(stack, "QuarantineQueue", UNREADABLE)
    answers = {one["id"]: one for one in redriven(stack, bad, good)}
    assert answers[bad]["state"] == "refused"
    assert "no destination" in answers[bad]["message"]
    assert answers[good]["state"] == "sent"
    assert [letter.id for letter in letters_of(stack).open()] == [bad]


def test_a_dead_letter_that_was_not_received_is_reported(stack: DeployedStack) -> None:
    put(stack, "QuarantineQueue", QUARANTINED)
    [answer] = redriven(stack, "nobody")
    assert answer["state"] == "refused"
    assert "nobody was not received" in answer["message"]
    assert runs(stack) == []


def test_a_crash_between_the_start_and_the_deletion_repeats_the_same_run(
    stack: DeployedStack,
) -> None:
    number = put(stack, "QuarantineQueue", QUARANTINED)
    stack.client("stepfunctions").start_execution(
        stateMachineArn=stack.name("OrderProcessing"), name=f"redrive-{number}", input="{}"
    )
    opened(stack, lease_owner=f"redrive-{number}", lease_until=9e9, epoch=1)
    redriven(stack, number)
    assert len(runs(stack)) == 1
    assert texts(stack, "QuarantineQueue") == []


def test_a_dead_letter_whose_run_failed_gets_another_run(stack: DeployedStack) -> None:
    number = put(stack, "AttentionQueue", ATTENTION)
    client, machine = stack.client("stepfunctions"), stack.name("OrderProcessing")
    failed = client.start_execution(stateMachineArn=machine, name=f"redrive-{number}", input="{}")
    client.stop_execution(executionArn=failed["executionArn"])
    [answer] = redriven(stack, number)
    assert (answer["state"], answer["message"]) == (
        "back",
        "its run ABORTED, and the dead letter stays",
    )
    redriven(stack, number)
    assert {name for name, _ in runs(stack)} == {f"redrive-{number}", f"redrive-{number}-2"}


# ---- discarded, put back, put right


def test_a_discarded_dead_letter_is_in_the_table_and_undo_restores_its_id(
    stack: DeployedStack,
) -> None:
    number = put(stack, "QuarantineQueue", QUARANTINED, ANY="attribute")
    [done] = letters_of(stack).discard([number], "a test of ours")
    assert (done["state"], letters_of(stack).open()) == ("discarded", [])
    [closed] = letters_of(stack).closed()
    assert closed.closing is not None
    assert (closed.id, closed.closing.state, closed.closing.outcome) == (
        number,
        "DISCARDED",
        "a test of ours",
    )
    assert closed.body == QUARANTINED
    [back] = letters_of(stack).restore([number])
    assert back["state"] == "restored"
    [letter] = letters_of(stack).open()
    assert (letter.id, letter.body) == (number, QUARANTINED)
    assert letter.attributes["ANY"] == "attribute"
    assert letters_of(stack).closed() == []
    [again] = letters_of(stack).restore([number])
    assert again["state"] == "refused"


def test_the_record_of_a_dead_letter_expires_after_14_days(stack: DeployedStack) -> None:
    number = put(stack, "QuarantineQueue", QUARANTINED)
    letters_of(stack).discard([number], "a test of ours")
    item = stack.table().get(f"letter#{number}", "letter")
    assert item is not None
    assert abs(item["ttl"] - time.time() - 14 * 86_400) < 600


def test_an_edited_dead_letter_keeps_its_id_and_its_original_is_recorded(
    stack: DeployedStack,
) -> None:
    number = put(stack, "QuarantineQueue", UNREADABLE)
    right = {"source": "orders.service", "detail-type": "Order Cancelled", "detail": {}}
    done = letters_of(stack).edit(number, right)
    assert done["state"] == "edited"
    letter = letters_of(stack).find(number)
    assert letter is not None
    assert (letter.id, letter.body["event"]) == (number, right)
    assert "edited 20" in letter.reason
    [entry] = letter.history or []
    assert (entry.what, entry.detail) == ("EDITED", {"before": "{not JSON", "after": right})
    assert len(texts(stack, "QuarantineQueue")) == 1


def test_copies_of_a_dead_letter_after_a_crash_count_as_one(
    stack: DeployedStack,
) -> None:
    number = put(stack, "QuarantineQueue", UNREADABLE)
    put(stack, "QuarantineQueue", {**UNREADABLE, "event": "{right"}, LETTER=number)
    assert [letter.id for letter in letters_of(stack).open()] == [number]
    redriven(stack, number)
    assert letters_of(stack).open() == []
    assert texts(stack, "HighValueQueue") == ["{right"]


def test_a_messages_reason_is_read_from_the_log(stack: DeployedStack) -> None:
    number = put(stack, "ConfirmationsDeadLetterQueue", {"order_id": "A-1"})
    client = stack.client("logs")
    client.create_log_group(logGroupName="functions")
    client.create_log_stream(logGroupName="functions", logStreamName="one")
    told = {"_aws": {}, FAILED_MESSAGES: {number: "MailError: no such mailbox", "other": "x"}}
    client.put_log_events(
        logGroupName="functions",
        logStreamName="one",
        logEvents=[{"timestamp": int(time.time() * 1000), "message": json.dumps(told)}],
    )
    logged = DeployedStack({**stack.names, "FunctionsLogGroup": "functions"}, stack.account)
    [letter] = letters_of(logged).open()
    assert letter.reason == "received 20 times without success; MailError: no such mailbox"


# ---- the commands


def test_dead_letters_are_listed_and_redriven_by_id(stack: DeployedStack) -> None:
    number = put(stack, "QuarantineQueue", UNREADABLE)
    [letter] = answer("dead-letters", "list", "--queue", "QuarantineQueue")["dead_letters"]
    assert letter["id"] == number
    assert answer("dead-letters", "redrive", number)["redriven"] == 1
    [closed] = answer("dead-letters", "history")["closed_letters"]
    assert (closed["id"], closed["state"]) == (number, "REDRIVEN")
    assert refusal("dead-letters", "show", "none", "--region", REGION).startswith(
        "there is no dead"
    )


def test_a_queue_that_holds_no_dead_letters_is_refused(stack: DeployedStack) -> None:
    said = refusal("dead-letters", "list", "--queue", "HighValueQueue", "--region", REGION)
    assert "'HighValueQueue' is no dead-letter queue; these are: HighValueDeadLetterQueue" in said
