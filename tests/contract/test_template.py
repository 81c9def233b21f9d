"""The template's rules beyond linters: dead letters, settings, permissions, limits."""

import json
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from importlib import import_module
from inspect import getmembers, isclass
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import cfn_yaml

from analytics.columns import COLUMNS, PARTITION
from infra.local.template.loader import Template
from infra.queries.athena import TEMPLATE, generated
from infra.server.tokens import SCOPES
from kernel import stock_events
from kernel.events import CONTRACTS, SOURCE, OrderCancelled, OrderUpdated
from lambda_support.settings import Settings

ROOT = TEMPLATE.parent
STACK = Template(TEMPLATE, {"Console": "hosted"}, lambda *_: {})
"""The template with each of its resources."""

BODY: Mapping[str, Any] = cfn_yaml.load(str(TEMPLATE))
Properties = Mapping[str, Any]

POWERTOOLS = {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_LOG_LEVEL"}
"""Powertools for Lambda, environment variables."""

TRACERS = re.compile(r"TRACING|AWS_LAMBDA_EXEC_WRAPPER|OTEL_\w+")
"""The tracer's variables, which `lambda_support.observability` and ADOT's layer read."""

SHORTER_VISIBILITY = {
    "OrderChangesQueue": "a cancellation that failed is tried again before its order is shipped"
}
"""Queues with a visibility timeout under six times the consumer's timeout, with the reasons."""

NEW_ACCOUNT = 10
"""Concurrent executions of a new account (Lambda Developer Guide, "Lambda quotas")."""

NAMELESS = re.compile(
    r"xray:.*|logs:(\w+LogDelivery|\w+LogDeliveries|\w+ResourcePolic\w+|DescribeLogGroups)"
    r"|cloudwatch:(GetMetricStatistics|GetMetricData|ListMetrics)|events:List(Replays|Rules)"
)
"""Actions without a resource type (Service authorization reference)."""

TABLE_ACTIONS = {
    "get": "dynamodb:GetItem",
    "get_all": "dynamodb:BatchGetItem",
    "query": "dynamodb:Query",
    "collection": "dynamodb:Query",
    "scan": "dynamodb:Scan",
    "write": "dynamodb:UpdateItem",
    "change": "dynamodb:UpdateItem",
    "delete": "dynamodb:DeleteItem",
}
"""Actions of the methods of `storage.dynamodb.table.Table`."""


def of_type(kind: str) -> dict[str, Properties]:
    return dict(STACK.of_type(f"AWS::{kind}"))


FUNCTIONS = {
    name: properties
    for name, properties in of_type("Serverless::Function").items()
    if "CodeUri" not in properties  # the hosted console: tests/contract/test_hosted_console.py
}
QUEUES = of_type("SQS::Queue")
ROLES = of_type("IAM::Role")
GLOBALS = STACK.globals["Function"]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def named(reference: Any) -> str:
    """Return the logical id in a reference such as ``!GetAtt Queue.Arn``."""
    found = reference.get("Ref") or reference["Fn::GetAtt"][0]
    return str(found).partition(".")[0]


def unqualified(name: str) -> str:
    """Return the state machine that an alias is a name of; any other name as it is."""
    resource = BODY["Resources"].get(name, {})
    if resource.get("Type") != "AWS::StepFunctions::StateMachineAlias":
        return name
    version = named(resource["Properties"]["DeploymentPreference"]["StateMachineVersionArn"])
    return named(of_type("StepFunctions::StateMachineVersion")[version]["StateMachineArn"])


def events(kind: str) -> dict[str, tuple[str, Properties]]:
    """Return the events of a type by name, with their function and their properties."""
    return {
        f"{function}/{name}": (function, event["Properties"])
        for function, properties in FUNCTIONS.items()
        for name, event in properties.get("Events", {}).items()
        if event["Type"] == kind
    }


CONSUMERS = {named(event["Queue"]): function for function, event in events("SQS").values()}
DEAD_LETTER_QUEUES = sorted(set(QUEUES) - set(CONSUMERS))


def service(function: str) -> str:
    """Return the service that a function belongs to."""
    return str(FUNCTIONS[function]["Handler"]).partition(".")[0]


def settings_of(service: str) -> type[Settings]:
    """Return the settings model of a service."""
    wiring = import_module(f"{service}.wiring")
    [model] = [
        one
        for _, one in getmembers(wiring, isclass)
        if issubclass(one, Settings) and one.__module__ == wiring.__name__
    ]
    return model


def variables(function: str) -> set[str]:
    return set(FUNCTIONS[function].get("Environment", {}).get("Variables", {})) - POWERTOOLS


def chosen(value: Any, met: Collection[str]) -> Any:
    """Return the value that its conditions choose if only some are met; None if it is left out."""
    while isinstance(value, dict) and value.keys() == {"Fn::If"}:
        condition, yes, no = value["Fn::If"]
        value = yes if condition in met else no
    return None if value == {"Ref": "AWS::NoValue"} else value


def statements(role: str, met: Collection[str] = ("Traced",)) -> Iterator[Properties]:
    """Yield what a role allows under conditions: by default those of the parameters' defaults."""
    for policy in ROLES[role]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            if (allowed := chosen(statement, met)) is not None:
                yield allowed


def actions(role: str, service: str) -> set[str]:
    return {
        action
        for statement in statements(role)
        for action in listed(statement["Action"])
        if action.startswith(f"{service}:")
    }


def is_dead_letter_queue(reference: Any) -> bool:
    return named(reference) in DEAD_LETTER_QUEUES


# Dead letters


@pytest.mark.parametrize("rule", of_type("Events::Rule"))
def test_a_rules_target_has_retries_and_dead_letters(rule: str) -> None:
    for target in of_type("Events::Rule")[rule]["Targets"]:
        assert target["RetryPolicy"]["MaximumEventAgeInSeconds"] <= 86_400
        assert is_dead_letter_queue(target["DeadLetterConfig"]["Arn"])


@pytest.mark.parametrize("queue", CONSUMERS)
def test_a_queue_with_a_consumer_has_dead_letters(queue: str) -> None:
    assert is_dead_letter_queue(QUEUES[queue]["RedrivePolicy"]["deadLetterTargetArn"])


@pytest.mark.parametrize("schedule", events("ScheduleV2"))
def test_a_schedule_and_its_function_have_dead_letters(schedule: str) -> None:
    function, event = events("ScheduleV2")[schedule]
    assert event["RetryPolicy"]
    assert is_dead_letter_queue(event["DeadLetterConfig"]["Arn"])
    call = FUNCTIONS[function]["EventInvokeConfig"]
    assert is_dead_letter_queue(call["DestinationConfig"]["OnFailure"]["Destination"])


@pytest.mark.parametrize("stream", events("DynamoDB"))
def test_a_stream_has_dead_letters_and_gives_up_on_records_alone(stream: str) -> None:
    _, event = events("DynamoDB")[stream]
    assert is_dead_letter_queue(event["DestinationConfig"]["OnFailure"]["Destination"])
    assert event["MaximumRetryAttempts"]
    assert event["BisectBatchOnFunctionError"]


@pytest.mark.parametrize("event", [*events("SQS"), *events("DynamoDB")])
def test_one_poison_message_is_retried_alone(event: str) -> None:
    _, source = (events("SQS") | events("DynamoDB"))[event]
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


@pytest.mark.parametrize("queue", DEAD_LETTER_QUEUES)
def test_dead_letters_have_the_longest_retention_and_an_alarm(queue: str) -> None:
    assert QUEUES[queue]["MessageRetentionPeriod"] == 14 * 86_400
    watched = {
        named(dimension["Value"])
        for alarm in of_type("CloudWatch::Alarm").values()
        if alarm.get("MetricName") == "ApproximateNumberOfMessagesVisible"
        for dimension in alarm["Dimensions"]
    }
    assert queue in watched


def test_lasting_transaction_conflicts_raise_an_alarm() -> None:
    """DynamoDB counts each refused item by table (DynamoDB metrics: TransactionConflict)."""
    alarm = of_type("CloudWatch::Alarm")["TransactionConflictsAlarm"]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/DynamoDB", "TransactionConflict")
    [dimension] = alarm["Dimensions"]
    assert (dimension["Name"], named(dimension["Value"])) == ("TableName", "OrdersTable")
    assert (alarm["Statistic"], alarm["Threshold"] / alarm["Period"]) == ("Sum", 10)


@pytest.mark.parametrize("alarm", of_type("CloudWatch::Alarm"))
def test_an_alarm_has_a_description_and_a_recipient(alarm: str) -> None:
    properties = of_type("CloudWatch::Alarm")[alarm]
    assert properties["AlarmDescription"].endswith(".")
    assert properties["AlarmActions"] == [
        {"Fn::If": ["HasAlarmTopic", {"Ref": "AlarmTopic"}, {"Ref": "AWS::NoValue"}]}
    ]


# Times


@pytest.mark.parametrize("queue", CONSUMERS)
def test_a_visibility_timeout_is_six_times_the_consumers_timeout(queue: str) -> None:
    times = 2 if queue in SHORTER_VISIBILITY else 6
    timeout = FUNCTIONS[CONSUMERS[queue]]["Timeout"]
    assert QUEUES[queue]["VisibilityTimeout"] >= times * timeout


@pytest.mark.parametrize("queue", CONSUMERS)
def test_a_message_is_tried_for_an_hour_and_an_event_of_an_order_for_a_day(queue: str) -> None:
    """A throttled call counts as a receive, and throttling lasts."""
    receives = QUEUES[queue]["RedrivePolicy"]["maxReceiveCount"]
    least = 86_400 if queue == "RetryQueue" else 3_600
    assert least <= receives * QUEUES[queue]["VisibilityTimeout"] <= 1.1 * least


def test_defaults_equal_those_of_the_settings() -> None:
    fields = settings_of("orders").model_fields
    for parameter, field in (
        ("LeaseSeconds", "lease_seconds"),
        ("RecoveryDelaySeconds", "recovery_delay_seconds"),
        ("MaxAttempts", "max_attempts"),
    ):
        assert STACK.resolve({"Ref": parameter}, "") == f"{fields[field].default:g}"


# Settings and handlers


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_functions_variables_are_settings_of_its_service(function: str) -> None:
    known = {name.upper() for name in settings_of(service(function)).model_fields}
    assert variables(function) <= known


def test_global_variables_are_settings_of_a_service() -> None:
    known = {
        name.upper()
        for function in FUNCTIONS
        for name in settings_of(service(function)).model_fields
    }
    ours = {name for name in GLOBALS["Environment"]["Variables"] if not TRACERS.fullmatch(name)}
    assert ours - POWERTOOLS <= known


@pytest.mark.parametrize("name", sorted({service(function) for function in FUNCTIONS}))
def test_every_setting_is_a_variable_of_a_function(name: str) -> None:
    common = set(GLOBALS["Environment"]["Variables"])
    given = {
        one for function in FUNCTIONS if service(function) == name for one in variables(function)
    }
    for field in settings_of(name).model_fields:
        assert field.upper() in given | common, field


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_has_every_setting_that_has_no_default(function: str) -> None:
    if "wiring" not in handler_file(function).read_text():
        return
    given = variables(function) | set(GLOBALS["Environment"]["Variables"])
    for name, field in settings_of(service(function)).model_fields.items():
        assert name.upper() in given or not field.is_required(), name


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_functions_handler_exists_and_its_logs_name_its_service(function: str) -> None:
    assert "\ndef handler(event" in handler_file(function).read_text()
    own = FUNCTIONS[function]["Environment"]["Variables"]
    assert own["POWERTOOLS_SERVICE_NAME"] == service(function)


def test_every_handler_has_a_function() -> None:
    files = {path for path in ROOT.glob("services/*/handlers/*.py") if path.stem != "__init__"}
    assert files == {handler_file(function) for function in FUNCTIONS}


def handler_file(function: str) -> Path:
    module = FUNCTIONS[function]["Handler"].removesuffix(".handler")
    return ROOT / "services" / f"{module.replace('.', '/')}.py"


# One source for each fact


def test_requests_and_unknown_events_go_to_the_queue_of_changes() -> None:
    pattern = of_type("Events::Rule")["OrderChangesRule"]["EventPattern"]
    requests = {OrderUpdated.name, OrderCancelled.name}
    assert pattern["source"] == [SOURCE]
    [others] = pattern["detail-type"]
    assert set(others["anything-but"]) == set(CONTRACTS) - requests


def test_the_rule_and_the_function_have_the_same_threshold() -> None:
    pattern = of_type("Events::Rule")["HighValueRule"]["EventPattern"]
    [[_, total]] = [one["numeric"] for one in pattern["detail"]["total"]]
    own = FUNCTIONS["FlagHighValueFunction"]["Environment"]["Variables"]
    assert total == own["HIGH_VALUE_THRESHOLD"]
    assert total == settings_of("high_value").model_fields["high_value_threshold"].default


def test_the_table_has_the_columns_of_the_rows() -> None:
    table = of_type("Glue::Table")["OrderEventsTable"]["TableInput"]
    columns = table["StorageDescriptor"]["Columns"]
    assert {one["Name"]: one["Type"] for one in columns} == COLUMNS
    [partition] = table["PartitionKeys"]
    assert (partition["Name"], partition["Type"]) == (PARTITION, "string")
    assert all(0 < len(one["Comment"]) <= 255 for one in columns)  # Glue, Column structure


def test_athenas_queries_are_generated() -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    assert generated(text) == text


def test_the_layer_has_the_locks_versions_and_the_functions_runtime() -> None:
    pins = re.compile(r"^[a-z0-9-]+==[^ ]+", re.MULTILINE)
    layer = set(pins.findall((ROOT / "infra/layer/requirements.txt").read_text()))
    assert layer <= set(pins.findall((ROOT / "requirements.lock").read_text()))
    makefile = (ROOT / "infra/layer/Makefile").read_text()
    runtime = STACK.resolve({"Ref": "PythonRuntime"}, "").removeprefix("python")
    assert f"RUNTIME ?= {runtime}\n" in makefile
    assert f"ARCHITECTURE ?= {STACK.resolve({'Ref': 'Architecture'}, '')}\n" in makefile


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            of_type("CloudWatch::Dashboard")["Dashboard"]["DashboardBody"], id="dashboard"
        ),
        pytest.param(
            of_type("Serverless::HttpApi")["HttpApi"]["AccessLogSettings"]["Format"],
            id="access log",
        ),
        pytest.param(
            of_type("ApiGatewayV2::Stage")["ConsoleStage"]["AccessLogSettings"]["Format"],
            id="access log of the console",
        ),
        pytest.param(
            of_type("Glue::Table")["OrderEventsView"]["TableInput"]["ViewOriginalText"]["Fn::Sub"][
                1
            ]["View"]["Fn::Base64"],
            id="view",
        ),
    ],
)
def test_json_within_the_template_is_json(text: Any) -> None:
    assert json.loads(text["Fn::Sub"] if isinstance(text, dict) else text)


# Permissions


@pytest.mark.parametrize("role", ROLES)
def test_a_role_names_its_actions_and_resources(role: str) -> None:
    for statement in statements(role):
        for action in listed(statement["Action"]):
            assert "*" not in action
            if statement["Resource"] == "*":
                assert NAMELESS.fullmatch(action), action


def test_every_role_is_used() -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    for role in ROLES:
        assert f"!GetAtt {role}.Arn" in text


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_has_the_permissions_of_its_role_only(function: str) -> None:
    assert named(FUNCTIONS[function]["Role"]) in ROLES
    assert "Policies" not in FUNCTIONS[function], "ignored beside Role; put them into the role"


@pytest.mark.parametrize(
    "name", ["orders", "inventory", "payments", "shipping", "notifications", "high_value"]
)
def test_a_service_has_the_table_actions_of_its_adapters(name: str) -> None:
    own = (ROOT / "services" / name).glob("dynamodb*.py")
    records = ROOT / "services/storage/dynamodb/records.py"
    source = "".join(module.read_text() for module in (records, *own))
    used = {TABLE_ACTIONS[one] for one in re.findall(r"\btable\.(\w+)\(", source)}
    roles = {named(FUNCTIONS[one]["Role"]) for one in FUNCTIONS if service(one) == name}
    granted = {action for role in roles for action in actions(role, "dynamodb")}
    stream = {"DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"}
    assert granted - {f"dynamodb:{action}" for action in stream} == used


def test_the_platform_may_publish_its_own_events_only() -> None:
    published = set(CONTRACTS) - {OrderUpdated.name, OrderCancelled.name}
    roles = sorted({named(function["Role"]) for function in FUNCTIONS.values()})
    publishing = [role for role in roles if actions(role, "events")]
    assert publishing == ["ReconcileRole", "RelayRole"]
    for role in publishing:
        [statement, stock] = [
            one for one in statements(role) if one["Action"] == "events:PutEvents"
        ]
        assert stock["Condition"]["StringEquals"] == {
            "events:source": stock_events.SOURCE,
            "events:detail-type": [stock_events.NAME],
        }
        condition = statement["Condition"]["StringEquals"]
        assert condition["events:source"] == SOURCE
        assert set(condition["events:detail-type"]) == published


def test_consumers_may_read_their_own_queue_only() -> None:
    for queue, function in CONSUMERS.items():
        role = named(FUNCTIONS[function]["Role"])
        read = [one for one in statements(role) if "sqs:ReceiveMessage" in listed(one["Action"])]
        assert [named(one["Resource"]) for one in read] == [queue]


def test_rules_may_reach_their_targets_and_nothing_else() -> None:
    through_role = {
        unqualified(named(target["Arn"]))
        for rule in of_type("Events::Rule").values()
        for target in rule["Targets"]
        if "RoleArn" in target
    }
    assert {named(one["Resource"]) for one in statements("RulesRole")} == through_role


# Encryption, logs, the API


@pytest.mark.parametrize("queue", QUEUES)
def test_a_queue_is_encrypted(queue: str) -> None:
    assert QUEUES[queue]["SqsManagedSseEnabled"] is True


@pytest.mark.parametrize("group", of_type("Logs::LogGroup"))
def test_a_log_group_has_a_retention(group: str) -> None:
    assert of_type("Logs::LogGroup")[group]["RetentionInDays"]


def test_functions_and_workflows_log_into_groups_of_the_stack() -> None:
    assert named(GLOBALS["LoggingConfig"]["LogGroup"]) in of_type("Logs::LogGroup")
    for machine in of_type("Serverless::StateMachine").values():
        assert machine["Logging"]["Level"] == "ERROR"
        assert machine["Logging"]["IncludeExecutionData"] is False


@pytest.mark.parametrize("route", events("HttpApi"))
def test_a_route_requires_a_token_with_its_scope(route: str) -> None:
    _, event = events("HttpApi")[route]
    # the code in the reviewer's link authorizes the page of a decision
    if event["Path"] in ("/health", "/approvals/{order_id}"):
        assert event["Auth"] == {"Authorizer": "NONE"}
        return
    decides = event["Path"].endswith(("/approve", "/reject"))
    scope = "operate" if decides else "read" if event["Method"] == "GET" else "write"
    assert event["Auth"] == {"AuthorizationScopes": [f"orders/{scope}"]}
    assert of_type("Serverless::HttpApi")["HttpApi"]["Auth"]["DefaultAuthorizer"] == "Jwt"


def test_anybodys_route_cannot_drain_the_account() -> None:
    api = of_type("Serverless::HttpApi")["HttpApi"]
    open_routes = {
        f"{event['Method']} {event['Path']}"
        for _, event in events("HttpApi").values()
        if event["Auth"].get("Authorizer") == "NONE"
    }
    page = "/approvals/{order_id}"
    expected = {"GET /health", f"GET {page}", f"POST {page}"}
    assert set(api["RouteSettings"]) == open_routes == expected
    for limits in api["RouteSettings"].values():
        assert limits["ThrottlingRateLimit"] + limits["ThrottlingBurstLimit"] < NEW_ACCOUNT / 2


def test_the_stacks_own_client_is_an_operator() -> None:
    server = of_type("Cognito::UserPoolResourceServer")["UserPoolScopes"]
    scopes = {f"{server['Identifier']}/{one['ScopeName']}" for one in server["Scopes"]}
    client = of_type("Cognito::UserPoolClient")["UserPoolClient"]
    # the console is a page of one machine
    assert set(client["AllowedOAuthScopes"]) == scopes == SCOPES - {"console/read"}


ISSUER = {"JwtIssuer": "https://issuer.example.com", "JwtAudience": "orders"}
SANDBOX = {"SandboxInProd": "yes"}
TOPIC = {"AlarmTopic": "arn:aws:sns:us-east-1:000000000000:alarms"}


@pytest.mark.parametrize(
    ("parameters", "missing"),
    [
        ({}, []),
        ({"Environment": "dev", **ISSUER}, []),
        ({"Environment": "dev", "JwtIssuer": ISSUER["JwtIssuer"]}, ["JwtAudience"]),
        ({"Environment": "staging"}, ["JwtIssuer", "JwtAudience"]),
        ({"Environment": "staging", **ISSUER}, []),
        ({"Environment": "prod", **TOPIC, **SANDBOX}, ["JwtIssuer", "JwtAudience"]),
        ({"Environment": "prod", **ISSUER, **SANDBOX}, ["AlarmTopic"]),
        ({"Environment": "prod", **ISSUER, **TOPIC}, ["A payment gateway"]),
        ({"Environment": "prod", **ISSUER, **TOPIC, **SANDBOX}, []),
        ({"AWS::Partition": "aws-cn"}, ["The partition"]),
        ({"AWS::Partition": "aws-us-gov"}, ["The partition"]),
        (
            {"AWS::Partition": "aws-iso", "Environment": "prod", **ISSUER, **TOPIC, **SANDBOX},
            ["The partition"],
        ),
    ],
)
def test_a_stage_is_not_deployed_without_its_parameters(
    parameters: Mapping[str, str], missing: list[str]
) -> None:
    refused = [
        re.split(" is missing. | is not aws. ", assertion["AssertDescription"])[0]
        for rule in BODY["Rules"].values()
        if "RuleCondition" not in rule or holds(rule["RuleCondition"], parameters)
        for assertion in rule["Assertions"]
        if not holds(assertion["Assert"], parameters)
    ]
    assert refused == missing


def holds(condition: Mapping[str, Any], parameters: Mapping[str, str]) -> bool:
    """Evaluate a condition of a rule, as CloudFormation does."""
    [(function, arguments)] = condition.items()
    if function == "Fn::Equals":
        left, right = (
            parameters.get(one["Ref"], STACK.resolve(one, "")) if isinstance(one, dict) else one
            for one in arguments
        )
        return bool(left == right)
    parts = [holds(one, parameters) for one in arguments]
    return {"Fn::And": all(parts), "Fn::Or": any(parts), "Fn::Not": not parts[0]}[function]


def test_the_functions_have_the_sandboxs_partners_or_prod_needs_no_consent() -> None:
    """When a real gateway is added, the rule and its parameter are removed."""
    partners = {
        name
        for function in FUNCTIONS.values()
        for name, value in function["Environment"]["Variables"].items()
        if "SandboxTable" in str(value)
    }
    assert partners == {"GATEWAY_URL", "CARRIER_URL"}
    assert "PaymentGateway" in BODY["Rules"]


@pytest.mark.parametrize("stage", ["dev", "staging", "prod"])
def test_a_stages_configuration_names_its_parameters_and_tags(stage: str) -> None:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())[stage]["deploy"]["parameters"]
    given = dict(one.split("=") for one in config["parameter_overrides"])
    assert given["Environment"] == stage
    assert set(given) <= set(BODY["Parameters"])
    assert config["tags"] == ["project=orderflow", f"stage={stage}"]
