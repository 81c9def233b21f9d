"""Each permission is the action and the resource of a call that is made, and each call has one.

Sources: "Service Authorization Reference" for the action of an operation; "Permissions for
targets" and "Using dead-letter queues" in the Amazon EventBridge User Guide; "Using Lambda with
Amazon SQS" and "Using Lambda with DynamoDB" in the AWS Lambda Developer Guide.
"""

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import pytest

from kernel import stock_events
from kernel.events import CONTRACTS, OrderCancelled, OrderCreated, OrderUpdated
from tests.contract.test_template import (
    BODY,
    CONSUMERS,
    FUNCTIONS,
    GLOBALS,
    QUEUES,
    ROLES,
    ROOT,
    TABLE_ACTIONS,
    events,
    listed,
    named,
    of_type,
    service,
    statements,
    unqualified,
)
from tests.contract.test_workflows import MACHINES, definition, states

CONSOLE = "ConsoleRole"
"""The role of the hosted console; `tests.contract.test_hosted_console_role` compares it."""

Grant = tuple[str, str]
"""An action, and the resource in short: ``Queue`` for ``!GetAtt Queue.Arn`` or ``!Ref Queue``."""

RULES = of_type("Events::Rule")

ACTIONS = {
    "lambda:invoke": ["lambda:InvokeFunction"],
    "sqs:sendMessage": ["sqs:SendMessage"],
    "states:startExecution": ["states:StartExecution"],
    "firehose:put": ["firehose:PutRecord", "firehose:PutRecordBatch"],
}
"""The IAM actions of a call by EventBridge or a workflow."""

CALLEE = {
    "lambda:invoke": "FunctionName",
    "sqs:sendMessage": "QueueUrl",
    "states:startExecution": "StateMachineArn",
}
"""The parameter that names the resource."""

TARGETS = {
    "AWS::Serverless::StateMachine": "states:startExecution",
    "AWS::KinesisFirehose::DeliveryStream": "firehose:put",
    "AWS::SQS::Queue": "sqs:sendMessage",
}
"""The call of EventBridge at a rule's target, by resource type."""

OPERATIONS = {
    "put_events": {"events:PutEvents"},
    "start_replay": {"events:StartReplay"},
    "get_metric_statistics": {"cloudwatch:GetMetricStatistics"},
    "start_execution": {"states:StartExecution"},
    "send_message_batch": {"sqs:SendMessage"},
    "send_task_success": {"states:SendTaskSuccess"},
    "start_query_execution": {"athena:StartQueryExecution"},
    "get_query_results": {"athena:GetQueryResults"},
    "get_query_execution": {"athena:GetQueryExecution"},
    "stop_query_execution": {"athena:StopQueryExecution"},
    "put_object": {"s3:PutObject"},
    # a raw mail of the API's version 2 is authorized as SendRawEmail too (SES, API reference)
    "send_email": {"ses:SendEmail", "ses:SendRawEmail"},
}
"""The IAM actions of a boto3 operation on the resource of its caller."""

ADAPTERS = {
    "orders/aws_publisher.py": {
        *("put_events", "start_execution", "send_message_batch", "send_task_success")
    },
    "orders/athena_sink.py": {"start_replay", "get_metric_statistics"},
    "lambda_support/athena.py": {
        "start_query_execution",
        "get_query_results",
        "get_query_execution",
        "stop_query_execution",
    },
    "analytics/report_store.py": {"put_object"},
    "notifications/mail.py": {"send_email"},
}
"""The operations of each adapter that is no table."""

SETTINGS = {
    "EVENT_BUS_NAME": "put_events",
    "ORDER_PROCESSING_ARN": "start_execution",
    "ARCHIVE_ARN": "start_replay",
    "EVENT_BUS_ARN": "start_replay",
}
"""The operation on the resource that a variable names."""

QUEUE_READER = {"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}
STREAM_READER = {
    "dynamodb:DescribeStream",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:ListStreams",
}
WAREHOUSE = {
    *(("athena:" + one, "workgroup/Workgroup") for one in (
        "GetQueryExecution", "GetQueryResults", "StartQueryExecution", "StopQueryExecution")),
    ("glue:GetDatabase", "database/default"),
    *((f"glue:Get{kind}", resource) for kind in ("Database", "Table") for resource in (
        "catalog",
        "database/AnalyticsDatabase",
        "table/AnalyticsDatabase/order_events",
        "table/AnalyticsDatabase/order_events_raw",
    )),
    *((f"s3:{one}", "AnalyticsBucket") for one in ("GetBucketLocation", "ListBucket")),
    ("s3:GetObject", "AnalyticsBucket/order_events/*"),
    *((f"s3:{one}", "AnalyticsBucket/athena/*") for one in (
        "AbortMultipartUpload", "GetObject", "PutObject")),
}  # fmt: skip
"""Permissions of an Athena query's caller (Athena, fine-grained access; Glue access)."""

PARTNERS: Mapping[str, set[Grant]] = {
    "ARCHIVE_ARN": {("events:StartReplay", "replay/never-began-*")},
    # no resource type (Service authorization reference)
    "ANALYTICS_RULE_ARN": {("cloudwatch:GetMetricStatistics", "*")},
    "WAREHOUSE_URL": WAREHOUSE,
    # boto3 may upload a large page in parts
    "SHELF_URL": {(f"s3:{one}", "AnalyticsBucket/reports/*") for one in (
        "AbortMultipartUpload", "GetObject", "PutObject")},
    "GATEWAY_URL": {(f"dynamodb:{one}", "SandboxTable") for one in ("Query", "UpdateItem")},
    "CARRIER_URL": {("dynamodb:UpdateItem", "SandboxTable")},
    "MAILER_URL": {
        (action, resource)
        for action in OPERATIONS["send_email"]
        for resource in ("identity/*", "configuration-set/*")
    },
}  # fmt: skip
"""The operations on the partner that a variable names."""

OBSERVED = {
    ("logs:CreateLogStream", "FunctionsLogGroup"),
    ("logs:PutLogEvents", "FunctionsLogGroup"),
    ("xray:PutTelemetryRecords", "*"),
    ("xray:PutTraceSegments", "*"),
}


def short(resource: Any) -> str:
    """Return a resource in short: its ARN's last part, with logical ids for references.

    A state machine's alias is its state machine, on whose own ARN IAM authorizes a call (Step
    Functions, "Authorization for versions and aliases").
    """
    if isinstance(resource, str):
        return resource
    if "Ref" in resource:
        return unqualified(str(resource["Ref"]).removesuffix(".Alias"))
    if "Fn::GetAtt" in resource:
        name, _, attribute = ".".join(resource["Fn::GetAtt"]).partition(".")
        return name if attribute == "Arn" else f"{name}.{attribute}"
    text = listed(resource["Fn::Sub"])[0].partition(":live-")[0]
    text = re.sub(r"\$\{(\w+)(\.Arn)?\}", lambda match: match[1], text)
    prefix = re.match(r"arn:\$\{AWS::Partition\}:\w+:\$\{AWS::Region\}:\$\{AWS::AccountId\}:", text)
    return text[prefix.end() :] if prefix else text


def granted(role: str) -> set[Grant]:
    """Return what a role allows."""
    return {
        (action, short(resource))
        for statement in statements(role)
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    }


def calls(name: str) -> Iterator[Grant]:
    """Yield what the tasks of a workflow need."""
    substitutions = MACHINES[name]["DefinitionSubstitutions"]
    for _, state in states(definition(name)):
        if state["Type"] == "Task":
            integration = state["Resource"].removeprefix("arn:aws:states:::")
            integration = integration.removesuffix(".waitForTaskToken")
            mark = state["Parameters"][CALLEE[integration]].removeprefix("${").removesuffix("}")
            [action] = ACTIONS[integration]
            yield action, short(substitutions[mark])


def target_calls() -> Iterator[tuple[str, Mapping[str, Any], Grant]]:
    """Yield each target of a rule with what EventBridge needs for it."""
    for rule, properties in RULES.items():
        for target in properties["Targets"]:
            resource = unqualified(named(target["Arn"]))
            for action in ACTIONS[TARGETS[BODY["Resources"][resource]["Type"]]]:
                yield rule, target, (action, resource)


# EventBridge


def test_the_rules_role_has_the_calls_of_its_targets_and_nothing_else() -> None:
    needed = {grant for _, target, grant in target_calls() if "RoleArn" in target}
    assert needed == {
        ("states:StartExecution", "OrderProcessing"),
        ("firehose:PutRecord", "OrderEventsStream"),
        ("firehose:PutRecordBatch", "OrderEventsStream"),
    }
    assert granted("RulesRole") == needed


def test_a_target_has_a_role_unless_it_is_a_queue() -> None:
    """EventBridge reaches a queue by the queue's own policy (Permissions for targets)."""
    for rule, target, (action, _) in target_calls():
        assert ("RoleArn" in target) is (action != "sqs:SendMessage"), rule
        if "RoleArn" in target:
            assert named(target["RoleArn"]) == "RulesRole"


def test_queues_take_messages_from_the_rules_that_send_them_and_from_nobody_else() -> None:
    sent = {resource for _, _, (action, resource) in target_calls() if action == "sqs:SendMessage"}
    dead = {named(target["DeadLetterConfig"]["Arn"]) for _, target, _ in target_calls()}
    policy = of_type("SQS::QueuePolicy")["QueuesPolicy"]
    assert {named(queue) for queue in policy["Queues"]} == sent | dead
    [statement] = policy["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Allow"
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Action"] == "sqs:SendMessage"
    assert {named(queue) for queue in statement["Resource"]} == sent | dead
    assert list(statement["Condition"]) == ["ArnLike"]
    pattern = statement["Condition"]["ArnLike"]["aws:SourceArn"]["Fn::Sub"]
    [bus] = of_type("Events::EventBus").values()
    for rule, properties in RULES.items():
        assert named(properties["EventBusName"]) == "OrdersBus"
        arn = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule"
        assert fnmatchcase(f"{arn}/{bus['Name']}/{rule}", pattern.replace("[", "[[]"))


# Workflows


@pytest.mark.parametrize("machine", MACHINES)
def test_a_workflow_has_the_calls_of_its_tasks_and_nothing_else(machine: str) -> None:
    needed = set(calls(machine))
    assert needed
    observed = {grant for grant in granted(f"{machine}Role") if grant[1] == "*"}
    assert {action.partition(":")[0] for action, _ in observed} == {"logs", "xray"}
    assert granted(f"{machine}Role") - observed == needed


# Functions


def test_adapters_call_what_is_listed() -> None:
    """A new call in an adapter needs its line here, and so its permission."""
    for path, operations in ADAPTERS.items():
        source = (ROOT / "services" / path).read_text()
        written = set(re.findall(r"client(?:\((?:\"\w+\")?\))?\.(\w+)\(", source))
        written |= set(re.findall(r"get_paginator\(\"(\w+)\"\)", source))
        assert written - {"get_paginator"} == operations, path
    others = {
        str(path.relative_to(ROOT / "services"))
        for path in (ROOT / "services").rglob("*.py")
        if re.search(r"client(\((\"\w+\")?\))?\.[a-z_]+\(|boto3\.client\(", path.read_text())
    }
    assert others - set(ADAPTERS) == {"storage/dynamodb/table.py"}


def table_calls(function: str) -> set[str]:
    """Return what a service's adapters do with the orders' table."""
    name = service(function)
    own = (ROOT / "services" / name).glob("dynamodb*.py")
    records = ROOT / "services/storage/dynamodb/records.py"
    text = "".join(module.read_text() for module in (records, *own))
    return {TABLE_ACTIONS[one] for one in re.findall(r"\btable\.(\w+)\(", text)}


def needed_by(function: str) -> set[Grant]:
    """Return what a function needs apart from the orders' table."""
    variables = FUNCTIONS[function]["Environment"]["Variables"]
    needed = set(OBSERVED) | set(event_calls(function))
    for variable, operation in SETTINGS.items():
        if variable in variables:
            needed |= {(action, short(variables[variable])) for action in OPERATIONS[operation]}
    for variable, grants in PARTNERS.items():
        if variable in variables:
            needed |= grants
    if "EVENT_BUS_NAME" in variables:  # the relay sends what any function put into an outbox
        needed |= {("sqs:SendMessage", queue) for queue in outbox_queues()}
        needed.add(("states:SendTaskSuccess", "OrderApproval"))
    return needed


def event_calls(function: str) -> Iterator[Grant]:
    """Yield what Lambda does in a function's name: it reads sources and sends failed calls."""
    failed = []
    for queue, consumer in CONSUMERS.items():
        if consumer == function:
            yield from ((action, queue) for action in QUEUE_READER)
    for owner, event in events("DynamoDB").values():
        if owner == function:
            yield from ((action, short(event["Stream"])) for action in STREAM_READER)
            failed.append(event)
    if "EventInvokeConfig" in FUNCTIONS[function]:
        failed.append(FUNCTIONS[function]["EventInvokeConfig"])
    for one in failed:
        yield "sqs:SendMessage", short(one["DestinationConfig"]["OnFailure"]["Destination"])


def outbox_queues() -> set[str]:
    """Return the queues whose messages go through an outbox."""
    return {
        named(variables["QUARANTINE_QUEUE_URL"])
        for variables in (one["Environment"]["Variables"] for one in FUNCTIONS.values())
        if "QUARANTINE_QUEUE_URL" in variables
    }


FUNCTION_ROLES = sorted({named(one["Role"]) for one in FUNCTIONS.values()})


@pytest.mark.parametrize("role", FUNCTION_ROLES)
def test_a_functions_role_has_the_calls_of_its_adapters_and_nothing_else(role: str) -> None:
    functions = [name for name, one in FUNCTIONS.items() if named(one["Role"]) == role]
    orders = {grant for grant in granted(role) if grant[1].startswith("OrdersTable")}
    orders -= {grant for grant in orders if grant[1] == "OrdersTable.StreamArn"}
    needed = set().union(*map(needed_by, functions))
    assert granted(role) - orders == needed
    uses_table = "STORE_URL" in GLOBALS["Environment"]["Variables"] and orders
    possible = set().union(*map(table_calls, functions)) if uses_table else set()
    assert {action for action, _ in orders} <= possible
    for action, resource in orders:
        indexes = {"OrdersTable/index/open"} | (
            {"OrdersTable/index/due"} if role == "ReconcileRole" else set()
        )
        if role == "ChangeOrderRole":  # the orders that wait for a SKU are items of the table
            indexes = {"OrdersTable"}
        assert resource in (indexes if action == "dynamodb:Query" else {"OrdersTable"}), action
    if role == "ReconcileRole":
        assert ("dynamodb:Query", "OrdersTable/index/due") in orders
    if (
        role == "ChangeOrderRole"
    ):  # received units: the waiting orders are read, and their entries deleted
        assert {("dynamodb:Query", "OrdersTable"), ("dynamodb:DeleteItem", "OrdersTable")} <= orders


def test_every_role_is_compared() -> None:
    compared = {*FUNCTION_ROLES, "RulesRole", *(f"{machine}Role" for machine in MACHINES)}
    assert set(ROLES) - compared == {"OrderEventsRole", CONSOLE}


def test_the_deliverys_role_has_what_firehose_documents() -> None:
    """Firehose, "Grant Firehose access to an Amazon S3 destination" and "... to AWS Glue"."""
    tables = {
        "catalog",
        "database/AnalyticsDatabase",
        "table/AnalyticsDatabase/order_events_raw",
    }
    assert granted("OrderEventsRole") == {
        *((f"s3:{one}", "AnalyticsBucket") for one in (
            "GetBucketLocation", "ListBucket", "ListBucketMultipartUploads")),
        *((f"s3:{one}", f"AnalyticsBucket/{prefix}/*") for prefix in ("order_events", "errors")
          for one in ("AbortMultipartUpload", "GetObject", "PutObject")),
        *((f"lambda:{one}", "ProcessRecordsFunction") for one in (
            "GetFunctionConfiguration", "InvokeFunction")),
        ("logs:PutLogEvents", "DeliveryLogGroup"),
        *((f"glue:Get{one}", table) for one in ("Table", "TableVersion", "TableVersions")
          for table in tables),
    }  # fmt: skip


def test_a_dead_letter_queue_takes_messages_from_its_own_queue_or_caller() -> None:
    """SQS moves a message itself: a redrive policy of the same account needs no permission."""
    written = {
        resource
        for role in ROLES.keys() - {CONSOLE}  # an operator sends to each of them
        for action, resource in granted(role)
        if action == "sqs:SendMessage"
    }
    redriven = {
        named(queue["RedrivePolicy"]["deadLetterTargetArn"])
        for queue in QUEUES.values()
        if "RedrivePolicy" in queue
    }
    by_rules = {named(one) for one in of_type("SQS::QueuePolicy")["QueuesPolicy"]["Queues"]}
    scheduled = {
        named(event["DeadLetterConfig"]["Arn"]) for _, event in events("ScheduleV2").values()
    }
    assert set(QUEUES) == written | redriven | by_rules | scheduled


# The bus


def test_a_deny_keeps_the_platforms_facts_to_the_roles_that_publish_them() -> None:
    [policy] = of_type("Events::EventBusPolicy").values()
    assert named(policy["EventBusName"]) == "OrdersBus"
    statement = policy["Statement"]
    head = {key: statement[key] for key in ("Effect", "Principal", "Action")}
    assert head == {"Effect": "Deny", "Principal": "*", "Action": "events:PutEvents"}
    assert short(statement["Resource"]) == "OrdersBus"
    # from anybody: what begins, changes or cancels an order
    facts = set(CONTRACTS) - {OrderCreated.name, OrderUpdated.name, OrderCancelled.name}
    condition = statement["Condition"]
    assert set(condition) == {"ForAnyValue:StringEquals", "ArnNotEquals", "Bool"}
    [(key, values)] = condition["ForAnyValue:StringEquals"].items()
    assert (key, set(values)) == ("events:detail-type", facts | {stock_events.NAME})
    publishing = {role for role in ROLES if ("events:PutEvents", "OrdersBus") in granted(role)}
    publishing.remove(CONSOLE)  # it sends requests, as anybody may
    [(key, roles)] = condition["ArnNotEquals"].items()
    assert (key, set(map(named, roles))) == ("aws:PrincipalArn", publishing)
    assert condition["Bool"] == {"aws:PrincipalIsAWSService": "false"}


@pytest.mark.parametrize("role", ["RelayRole", "ReconcileRole"])
def test_an_outbox_publishes_each_fact_under_its_source_and_nothing_else(role: str) -> None:
    facts = set(CONTRACTS) - {OrderUpdated.name, OrderCancelled.name}
    published = set()
    for statement in statements(role):
        if "events:PutEvents" in listed(statement["Action"]):
            [(operator, condition)] = statement["Condition"].items()
            assert (operator, set(condition)) == (
                "StringEquals",
                {"events:source", "events:detail-type"},
            )
            for name in listed(condition["events:detail-type"]):
                published.add((condition["events:source"], name))
    expected = {("orders.service", name) for name in facts}
    assert published == expected | {(stock_events.SOURCE, stock_events.NAME)}


TRUST = {
    "events.amazonaws.com": "aws:SourceAccount",
    "states.amazonaws.com": "aws:SourceAccount",
    "firehose.amazonaws.com": "sts:ExternalId",
    "lambda.amazonaws.com": None,
}
"""The condition key that each service documents for its roles; Lambda has none."""


@pytest.mark.parametrize("role", ROLES)
def test_a_roles_trust_is_what_its_service_documents(role: str) -> None:
    [statement] = ROLES[role]["AssumeRolePolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Allow", "sts:AssumeRole")
    key = TRUST[statement["Principal"]["Service"]]
    account = {"StringEquals": {key: {"Ref": "AWS::AccountId"}}} if key else None
    assert statement.get("Condition") == account


def test_mail_goes_out_from_the_sender_alone() -> None:
    [mail] = [one for one in statements("SendConfirmationRole") if "ses:SendEmail" in one["Action"]]
    assert mail["Condition"] == {"StringEquals": {"ses:FromAddress": {"Ref": "MailSender"}}}
