"""The operations behind ``aws …`` that users of AWS's console know, on a real port with boto3."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.fakes.serving import Served, orders

STATES = "arn:aws:states:us-east-1:000000000000"
RECOVERY = f"{STATES}:stateMachine:OrderRecovery"
PROCESSING = f"{STATES}:stateMachine:orderflow-order-processing"
BUS = "orders-bus"
WAITS = '{"order_id": "x", "wait_seconds": 9999}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("clients") / "data") as served:
        yield served


@pytest.fixture(scope="module")
def events(server: Served) -> Any:
    return server.client("events")


@pytest.fixture(scope="module")
def states(server: Served) -> Any:
    return server.client("stepfunctions")


@pytest.fixture(scope="module")
def queues(server: Served) -> Any:
    return server.client("sqs")


def refusal(call: Any, **request: Any) -> str:
    """Return the code of a refused request."""
    with pytest.raises(ClientError) as refused:
        call(**request)
    return str(refused.value.response["Error"]["Code"])


# ---- EventBridge


def test_the_bus_is_described_by_name_and_arn(events: Any) -> None:
    described = events.describe_event_bus(Name=BUS)
    assert described["Arn"] == f"arn:aws:events:us-east-1:000000000000:event-bus/{BUS}"
    assert events.describe_event_bus(Name=described["Arn"])["Name"] == BUS
    assert [bus["Name"] for bus in events.list_event_buses()["EventBuses"]] == [BUS]
    assert refusal(events.describe_event_bus) == "ResourceNotFoundException"  # the default bus


def test_rules_are_listed_in_pages_with_their_patterns(events: Any) -> None:
    whole = events.list_rules(EventBusName=BUS)["Rules"]
    names = [rule["Name"] for rule in whole]
    assert "OrderCreatedRule" in names
    assert names == sorted(names)
    first = events.list_rules(EventBusName=BUS, Limit=1)
    second = events.list_rules(EventBusName=BUS, Limit=100, NextToken=first["NextToken"])
    assert first["Rules"] + second["Rules"] == whole
    one = events.describe_rule(Name="OrderCreatedRule", EventBusName=BUS)
    assert json.loads(one["EventPattern"])["detail-type"] == ["Order Created"]
    assert one["State"] == "ENABLED"
    found = events.list_rules(EventBusName=BUS, NamePrefix="OrderCre")["Rules"]
    assert [rule["Name"] for rule in found] == ["OrderCreatedRule"]


def test_targets_are_listed_by_rule_and_rules_by_target(events: Any) -> None:
    [target] = events.list_targets_by_rule(Rule="OrderCreatedRule", EventBusName=BUS)["Targets"]
    assert target["Arn"] == PROCESSING
    assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0
    assert target["DeadLetterConfig"]["Arn"].startswith("arn:aws:sqs:us-east-1:000000000000:")
    named = events.list_rule_names_by_target(TargetArn=target["Arn"], EventBusName=BUS)
    assert "OrderCreatedRule" in named["RuleNames"]


@pytest.mark.parametrize(
    ("operation", "request_", "code"),
    [
        ("list_rules", {"EventBusName": "other"}, "ResourceNotFoundException"),
        ("list_rules", {"EventBusName": BUS, "Limit": 101}, "ValidationException"),
        ("list_rules", {"EventBusName": BUS, "NextToken": "0"}, "InvalidToken"),
        ("describe_rule", {"EventBusName": BUS, "Name": "None"}, "ResourceNotFoundException"),
        ("list_targets_by_rule", {"EventBusName": BUS, "Rule": "No"}, "ResourceNotFoundException"),
    ],
)
def test_a_wrong_request_to_eventbridge_is_refused(
    events: Any, operation: str, request_: dict[str, Any], code: str
) -> None:
    assert refusal(getattr(events, operation), **request_) == code


def test_an_event_of_a_source_of_aws_is_refused_alone(events: Any) -> None:
    entry = {"EventBusName": BUS, "DetailType": "Other", "Detail": "{}"}
    answer = events.put_events(
        Entries=[{**entry, "Source": "aws.orders"}, {**entry, "Source": "awsome"}]
    )
    assert [one.get("ErrorCode") for one in answer["Entries"]] == [
        "NotAuthorizedForSourceException",
        None,
    ]


@pytest.mark.parametrize("time", ["yesterday", True, {}, [1], ""])
def test_a_time_that_is_none_refuses_the_request(server: Served, time: Any) -> None:
    entry = {"EventBusName": BUS, "Source": "x", "DetailType": "Other", "Detail": "{}"}
    headers = {"x-amz-target": "AWSEvents.PutEvents", "content-type": "application/x-amz-json-1.1"}
    status, answer = server.ask("POST", "/", {"Entries": [{**entry, "Time": time}]}, headers)
    assert (status, answer["__type"]) == (400, "SerializationException")
    assert "Entries[0].Time" in answer["message"]


# ---- Step Functions


def test_state_machines_are_listed_and_described(states: Any) -> None:
    listed = states.list_state_machines()["stateMachines"]
    kinds = {machine["name"]: machine["type"] for machine in listed}
    assert kinds["OrderRecovery"] == "STANDARD"
    assert kinds["orderflow-order-processing"] == "EXPRESS"
    described = states.describe_state_machine(stateMachineArn=RECOVERY)
    assert json.loads(described["definition"])["StartAt"] == "WaitForInventory"
    assert described["status"] == "ACTIVE"
    page = states.list_state_machines(maxResults=1)
    rest = states.list_state_machines(nextToken=page["nextToken"])
    assert page["stateMachines"] + rest["stateMachines"] == listed


def test_a_definition_is_validated_as_it_would_be_deployed(states: Any) -> None:
    shipped = states.describe_state_machine(stateMachineArn=PROCESSING)["definition"]
    valid = states.validate_state_machine_definition(definition=shipped, type="EXPRESS")
    assert (valid["result"], valid["diagnostics"], valid["truncated"]) == ("OK", [], False)
    wrong = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}}
    told = states.validate_state_machine_definition(definition=json.dumps(wrong))
    assert told["result"] == "FAIL"
    assert told["diagnostics"] == [
        {
            "severity": "ERROR",
            "code": "MISSING_TRANSITION_TARGET",
            "message": "Missing 'Next' target: B",
            "location": "/States/A/Next",
        }
    ]
    waits = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
    task = {"Type": "Task", "Resource": waits, "Parameters": {}, "End": True}
    asks = json.dumps({"StartAt": "A", "States": {"A": task}})
    for kind, result in (("STANDARD", "OK"), ("EXPRESS", "FAIL")):
        given = states.validate_state_machine_definition(definition=asks, type=kind)
        assert given["result"] == result
    assert states.validate_state_machine_definition(definition="{")["diagnostics"][0]["code"] == (
        "INVALID_JSON_DESCRIPTION"
    )
    queries = {"Type": "Pass", "Output": "{% 1 + %}", "End": True}
    jsonata = {"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": queries}}
    told = states.validate_state_machine_definition(definition=json.dumps(jsonata))
    assert told["diagnostics"][0]["location"] == "/States/A/Output"
    assert refusal(states.validate_state_machine_definition, definition="{}", type="FAST") == (
        "ValidationException"
    )


def test_an_execution_tells_the_definition_of_its_start(states: Any) -> None:
    arn = states.start_execution(stateMachineArn=RECOVERY, name="told", input=WAITS)["executionArn"]
    told = states.describe_state_machine_for_execution(executionArn=arn)
    assert told["stateMachineArn"] == RECOVERY
    shipped = states.describe_state_machine(stateMachineArn=RECOVERY)["definition"]
    assert told["definition"] == shipped
    assert told["updateDate"] == states.describe_execution(executionArn=arn)["startDate"]
    describe = states.describe_state_machine_for_execution
    assert refusal(describe, executionArn=f"{arn}-none") == "ExecutionDoesNotExist"
    assert refusal(describe, executionArn=EXPRESS) == "InvalidArn"


def test_a_running_execution_is_stopped_with_an_error_and_a_cause(states: Any) -> None:
    arn = states.start_execution(stateMachineArn=RECOVERY, name="stopped", input=WAITS)[
        "executionArn"
    ]
    at = states.stop_execution(executionArn=arn, error="Operator", cause="by hand")["stopDate"]
    described = states.describe_execution(executionArn=arn)
    assert described["status"] == "ABORTED"
    assert [described["error"], described["cause"]] == ["Operator", "by hand"]
    assert described["stopDate"] == at
    last = states.get_execution_history(executionArn=arn, reverseOrder=True)["events"][0]
    assert last["type"] == "ExecutionAborted"
    assert last["executionAbortedEventDetails"] == {"error": "Operator", "cause": "by hand"}
    assert states.stop_execution(executionArn=arn)["stopDate"] == at  # a repetition changes nothing
    listed = states.list_executions(stateMachineArn=RECOVERY, statusFilter="ABORTED")
    assert [one["name"] for one in listed["executions"]] == ["stopped"]
    assert (
        refusal(states.start_execution, stateMachineArn=RECOVERY, name="stopped", input=WAITS)
        == "ExecutionAlreadyExists"
    )


def test_a_stopped_execution_is_redriven_once_per_token(states: Any) -> None:
    started = states.start_execution(stateMachineArn=RECOVERY, name="again", input=WAITS)
    arn = started["executionArn"]
    running = states.describe_execution(executionArn=arn)
    assert (running["redriveStatus"], running["redriveCount"]) == ("NOT_REDRIVABLE", 0)
    assert running["redriveStatusReason"] == "Execution is RUNNING and cannot be redriven"
    assert refusal(states.redrive_execution, executionArn=arn) == "ExecutionNotRedrivable"
    states.stop_execution(executionArn=arn, error="Operator")
    assert states.describe_execution(executionArn=arn)["redriveStatus"] == "REDRIVABLE"
    at = states.redrive_execution(executionArn=arn, clientToken="once")["redriveDate"]
    assert states.redrive_execution(executionArn=arn, clientToken="once")["redriveDate"] == at
    redriven = states.describe_execution(executionArn=arn)
    assert (redriven["status"], redriven["redriveCount"]) == ("RUNNING", 1)
    assert redriven["redriveDate"] == at
    assert {"stopDate", "error", "cause"}.isdisjoint(redriven)
    listed = states.list_executions(stateMachineArn=RECOVERY, redriveFilter="REDRIVEN")
    assert [each["name"] for each in listed["executions"]] == ["again"]
    last = states.get_execution_history(executionArn=arn, reverseOrder=True)["events"][0]
    assert last["type"] == "ExecutionRedriven"
    assert last["executionRedrivenEventDetails"] == {"redriveCount": 1}
    states.stop_execution(executionArn=arn)


def test_a_history_without_data_has_no_inputs(states: Any) -> None:
    arn = states.start_execution(stateMachineArn=RECOVERY, name="bare", input=WAITS)["executionArn"]
    whole = states.get_execution_history(executionArn=arn)["events"]
    assert whole[0]["executionStartedEventDetails"]["input"]
    bare = states.get_execution_history(executionArn=arn, includeExecutionData=False)["events"]
    assert "input" not in bare[0]["executionStartedEventDetails"]
    assert [event["type"] for event in bare] == [event["type"] for event in whole]


EXPRESS = f"{STATES}:express:orderflow-order-processing:n:1"


@pytest.mark.parametrize(
    ("operation", "request_", "code"),
    [
        ("describe_execution", {"executionArn": "garbage"}, "InvalidArn"),
        ("describe_execution", {"executionArn": "x:express:y:1"}, "InvalidArn"),
        ("describe_execution", {"executionArn": EXPRESS + "9" * 40}, "ExecutionDoesNotExist"),
        (
            "describe_execution",
            {"executionArn": f"{STATES}:express:OrderRecovery:stopped:1"},
            "ExecutionDoesNotExist",
        ),
        (
            "describe_execution",
            {"executionArn": RECOVERY.replace("us-east-1", "eu-west-1")},
            "InvalidArn",
        ),
        (
            "list_executions",
            {"stateMachineArn": RECOVERY.replace("us-east-1", "eu-west-1")},
            "StateMachineDoesNotExist",
        ),
        (
            "start_execution",
            {"stateMachineArn": "arn:aws:lambda:us-east-1:000000000000:function:OrderRecovery"},
            "InvalidArn",
        ),
        ("start_execution", {"stateMachineArn": RECOVERY, "name": "a/b"}, "InvalidName"),
        ("stop_execution", {"executionArn": EXPRESS}, "InvalidArn"),
        (
            "stop_execution",
            {"executionArn": f"{STATES}:execution:OrderRecovery:none"},
            "ExecutionDoesNotExist",
        ),
        (
            "list_executions",
            {"stateMachineArn": RECOVERY, "maxResults": 1001},
            "ValidationException",
        ),
        (
            "list_executions",
            {"stateMachineArn": RECOVERY, "statusFilter": "running"},
            "ValidationException",
        ),
    ],
)
def test_a_wrong_request_to_step_functions_is_refused(
    states: Any, operation: str, request_: dict[str, Any], code: str
) -> None:
    assert refusal(getattr(states, operation), **request_) == code


def test_a_token_of_another_request_is_refused(states: Any) -> None:
    for number in range(2):
        states.start_execution(stateMachineArn=RECOVERY, name=f"page-{number}", input=WAITS)
    token = states.list_executions(stateMachineArn=RECOVERY, maxResults=1)["nextToken"]
    request = {"stateMachineArn": RECOVERY, "statusFilter": "RUNNING", "nextToken": token}
    assert refusal(states.list_executions, **request) == "InvalidToken"


# ---- SQS


@pytest.fixture(scope="module")
def letters(server: Served, events: Any, queues: Any) -> str:
    """Return the URL of a dead-letter queue with one quarantined order."""
    detail = json.dumps({"order_id": "bad one", "items": []})
    entry = {"Source": "orders.service", "DetailType": "Order Created", "Detail": detail}
    events.put_events(Entries=[{"EventBusName": BUS, **entry}])
    server.until("select count(*) from messages where queue like '%uarantine%'", 1)
    [[name]] = server.rows("select queue from messages where queue like '%uarantine%'")
    return str(queues.get_queue_url(QueueName=name)["QueueUrl"])


def test_a_dead_letter_is_received_hidden_deleted_and_restored(
    server: Served, queues: Any, letters: str
) -> None:
    assert letters in queues.list_queues()["QueueUrls"]
    counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

    def counted() -> list[str]:
        found = queues.get_queue_attributes(QueueUrl=letters, AttributeNames=counts)["Attributes"]
        return [found[name] for name in counts]

    assert counted() == ["1", "0"]
    received = queues.receive_message(
        QueueUrl=letters, AttributeNames=["All"], MessageAttributeNames=["All"]
    )
    [message] = received["Messages"]
    assert "bad one" in message["Body"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert counted() == ["0", "1"]
    assert "Messages" not in queues.receive_message(QueueUrl=letters)
    handle = message["ReceiptHandle"]
    queues.change_message_visibility(QueueUrl=letters, ReceiptHandle=handle, VisibilityTimeout=0)
    [again] = queues.receive_message(QueueUrl=letters)["Messages"]
    assert again["MessageId"] == message["MessageId"]
    queues.delete_message(QueueUrl=letters, ReceiptHandle=again["ReceiptHandle"])
    queues.delete_message(QueueUrl=letters, ReceiptHandle=again["ReceiptHandle"])
    assert counted() == ["0", "0"]
    number = again["ReceiptHandle"].partition("-")[0]
    restored = orders("dead-letters", "undo", number, "--data", server.data)
    assert restored.returncode == 0, restored.stderr
    assert counted() == ["1", "0"]


@pytest.mark.parametrize(
    ("operation", "request_", "code"),
    [
        (
            "receive_message",
            {"QueueUrl": "https://sqs.us-east-1.amazonaws.com/000000000000/none"},
            "AWS.SimpleQueueService.NonExistentQueue",
        ),
        ("get_queue_url", {"QueueName": "none"}, "AWS.SimpleQueueService.NonExistentQueue"),
        ("receive_message", {"MaxNumberOfMessages": 11}, "ValidationException"),
        ("receive_message", {"WaitTimeSeconds": 21}, "ValidationException"),
        ("delete_message", {"ReceiptHandle": "garbage"}, "ReceiptHandleIsInvalid"),
        ("get_queue_attributes", {"AttributeNames": ["Nothing"]}, "InvalidAttributeName"),
    ],
)
def test_a_wrong_request_to_sqs_is_refused(
    queues: Any, letters: str, operation: str, request_: dict[str, Any], code: str
) -> None:
    own = {} if operation == "get_queue_url" else {"QueueUrl": letters}
    assert refusal(getattr(queues, operation), **{**own, **request_}) == code


def test_a_queue_with_a_consumer_gives_no_message(queues: Any, letters: str) -> None:
    assert letters
    work = queues.get_queue_url(QueueName="ConfirmationsQueue")["QueueUrl"]
    code = refusal(queues.receive_message, QueueUrl=work)
    assert code == "AWS.SimpleQueueService.UnsupportedOperation"


def test_an_older_client_of_sqs_is_told_what_to_use(server: Served) -> None:
    """Its protocol is forms and XML: the error is in the form that it reads."""
    form = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    for path in ("/", "/000000000000/QuarantineQueue"):
        connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("POST", path, b"Action=ListQueues&Version=2012-11-05", form)
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        assert reply.status == 400
        assert "<Code>UnsupportedProtocol</Code><Message>" in text
        assert "boto3" in text
