"""Updates of a deployed stack: no resource with state is replaced, and each parameter can change.

Sources: "Update behaviors of stack resources", "DeletionPolicy attribute" and "UpdateReplacePolicy
attribute" in the AWS CloudFormation User Guide; "Managing Global Secondary Indexes" in the Amazon
DynamoDB Developer Guide.
"""

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Mapping
from itertools import product
from typing import Any

import pytest

from infra.queries.athena import TEMPLATE
from tests.contract.replacement import (
    CREATE_ONLY,
    RELEASES,
    ROOT,
    create_only,
    identities,
    kind_of,
    replaced,
)
from tests.contract.test_template import BODY, CONSUMERS, QUEUES

RELEASED = {"0.1.0": "bffc0ba", "0.2.0": "d6fc33e"}
"""The commit of each release's template; `tests.contract.replacement` writes its identities."""

STATE = {
    "AWS::Cognito::UserPool": "users",
    "AWS::DynamoDB::Table": "items",
    "AWS::Events::Archive": "events",
    "AWS::Events::EventBus": "the address of upstream; an event in flight needs its rules",
    "AWS::KinesisFirehose::DeliveryStream": "buffered records",
    "AWS::Logs::LogGroup": "logs",
    "AWS::Logs::LogStream": "logs",
    "AWS::S3::Bucket": "objects",
    "AWS::SQS::Queue": "messages",
    "AWS::StepFunctions::StateMachine": "running executions",
}
"""Types whose replacement loses something, with what it loses."""

STATELESS = {
    "AWS::ApiGatewayV2::Api": "its address changes, which is why it is compared all the same",
    "AWS::ApiGatewayV2::Integration": "settings",
    "AWS::ApiGatewayV2::Route": "settings",
    "AWS::ApiGatewayV2::Stage": "settings",
    "AWS::Athena::NamedQuery": "text",
    "AWS::Athena::WorkGroup": "settings; the answers are in the bucket",
    "AWS::CloudWatch::Alarm": "settings",
    "AWS::CloudWatch::Dashboard": "settings",
    "AWS::Cognito::UserPoolClient": "its secret; in dev only",
    "AWS::Cognito::UserPoolDomain": "settings",
    "AWS::Cognito::UserPoolGroup": "its members; no property of it is changed",
    "AWS::Cognito::UserPoolResourceServer": "settings",
    "AWS::Events::EventBusPolicy": "settings",
    "AWS::Events::Rule": "settings",
    "AWS::Glue::Database": "settings; the rows are in the bucket",
    "AWS::Glue::Table": "settings; the rows are in the bucket",
    "AWS::IAM::Role": "settings",
    "AWS::Lambda::Function": "code",
    "AWS::Lambda::Permission": "settings",
    "AWS::Lambda::LayerVersion": "code: a version is immutable, so each change is a new one",
    "AWS::Logs::MetricFilter": "settings",
    "AWS::S3::BucketPolicy": "settings",
    "AWS::SQS::QueuePolicy": "settings",
    "AWS::StepFunctions::StateMachineAlias": "settings",
    "AWS::StepFunctions::StateMachineVersion": "a definition: each change is a new version",
    "AWS::XRay::SamplingRule": "settings",
}
"""Types whose replacement loses nothing, with what they have."""

REPLACEABLE = {"AWS::Athena::NamedQuery", "AWS::Lambda::LayerVersion"}
"""Types that an update from a release may replace."""

KEPT = {
    "AWS::DynamoDB::Table",
    "AWS::Events::Archive",
    "AWS::Events::EventBus",
    "AWS::S3::Bucket",
}
"""Types of which each resource stays when its stack is deleted, as do dead-letter queues."""

NAMES = ("Name", "StateMachineName", "TableName", "QueueName", "BucketName", "LogGroupName")

CHANGES = [
    ({"WorkflowType": before}, {"WorkflowType": after})
    for before, after in (("EXPRESS", "STANDARD"), ("STANDARD", "EXPRESS"))
] + [
    ({}, {name: value})
    for name, parameter in BODY["Parameters"].items()
    if name not in ("Environment", "WorkflowType")
    for value in parameter.get("AllowedValues", [])
]


def released(version: str) -> dict[str, Any]:
    release: dict[str, Any] = json.loads((RELEASES / f"{RELEASED[version]}.json").read_text())
    return release


def test_each_release_of_the_changelog_is_compared() -> None:
    """The newest one may be the release of this commit, whose name is not known yet."""
    headings = re.findall(r"^## \[(\d.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings
    assert set(headings[1:]) <= set(RELEASED)


def test_the_replacing_properties_are_those_of_cloudformations_schemas() -> None:
    document = json.loads(CREATE_ONLY.read_text())
    kinds = {kind_of(resource) for resource in BODY["Resources"].values()}
    assert document["types"] == {kind: create_only(kind) for kind in sorted(kinds)}


def test_each_type_is_known_to_have_state_or_none() -> None:
    kinds = {kind_of(resource) for resource in BODY["Resources"].values()}
    assert kinds <= set(STATE) | set(STATELESS)
    assert not set(STATE) & set(STATELESS)


@pytest.mark.parametrize("version", RELEASED)
@pytest.mark.parametrize(
    "parameters", [{}, {"Environment": "prod"}, {"LogLevel": "DEBUG", "Architecture": "x86_64"}]
)
def test_an_update_from_a_release_replaces_nothing_with_state(
    parameters: Mapping[str, str], version: str
) -> None:
    before, after = released(version), identities(TEMPLATE, parameters)
    if "Environment" in parameters:  # the one parameter that is in a name, and is never changed
        before.pop("Workgroup")
    assert {before[name]["type"] for name in replaced(before, after)} <= REPLACEABLE


@pytest.mark.parametrize("version", RELEASED)
def test_an_update_adds_or_removes_one_index_of_a_table_at_most(version: str) -> None:
    before, after = released(version), identities(TEMPLATE, {})
    for name, table in before.items():
        old, new = table.get("indexes", {}), after[name].get("indexes", {})
        assert len(old.keys() ^ new.keys()) <= 1, name
        for index in old.keys() & new.keys():
            assert old[index] == new[index], f"{name}/{index}: a changed index needs another name"


@pytest.mark.parametrize(("before", "after"), CHANGES)
def test_a_changed_parameter_replaces_no_named_resource_under_its_own_name(
    before: Mapping[str, str], after: Mapping[str, str]
) -> None:
    """CloudFormation creates the new resource first, so the name must be another one."""
    old, new = identities(TEMPLATE, before), identities(TEMPLATE, after)
    for name in replaced(old, new):
        for path in NAMES:
            value = new[name]["properties"].get(path)
            assert value is None or value != old[name]["properties"][path], name


def test_another_type_of_workflow_replaces_the_workflow_and_its_alias_alone() -> None:
    old = identities(TEMPLATE, {"WorkflowType": "EXPRESS"})
    new = identities(TEMPLATE, {"WorkflowType": "STANDARD"})
    assert replaced(old, new) == {
        "OrderProcessing": ["StateMachineName", "StateMachineType"],
        "OrderProcessingAlias": ["Name"],
    }


def test_replacement_is_noticed() -> None:
    """The comparison finds a renamed table, another key, another type and a removed resource."""
    table = {"type": "AWS::DynamoDB::Table", "properties": {"KeySchema": [1]}}
    for new, found in (
        ({**table, "properties": {"KeySchema": [2]}}, ["KeySchema"]),
        ({**table, "properties": {"KeySchema": [1], "TableName": "t"}}, ["TableName"]),
        ({**table, "type": "AWS::DynamoDB::GlobalTable"}, ["(type)"]),
    ):
        assert replaced({"T": table}, {"T": new}) == {"T": found}
    assert replaced({"T": table}, {}) == {"T": ["(removed)"]}
    assert replaced({"T": table}, {"T": table, "U": table}) == {}


# Deletion


def test_data_stays_when_its_stack_is_deleted() -> None:
    """A failed first deployment leaves nothing behind, so that the next one can have the names."""
    kept = set()
    for name, resource in BODY["Resources"].items():
        dead_letters = name in QUEUES and name not in CONSUMERS
        if resource["Type"] in KEPT or dead_letters:
            kept.add(name)
            assert resource["DeletionPolicy"] == "RetainExceptOnCreate", name
            assert resource["UpdateReplacePolicy"] == "Retain", name
    assert {"OrdersBus", "OrdersArchive", "OrdersTable", "SandboxTable", "AnalyticsBucket"} < kept
    assert "QuarantineQueue" in kept


def test_all_else_is_deleted_with_its_stack() -> None:
    others = {
        name
        for name, resource in BODY["Resources"].items()
        if resource.get("DeletionPolicy", "Delete") == "Retain"
    }
    assert others == {"OrderProcessingVersion"}, "deleted by Step Functions with its state machine"


# Parameters


def test_the_layers_build_has_the_templates_runtime_and_architecture() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for name, variable in (("PythonRuntime", "RUNTIME"), ("Architecture", "ARCHITECTURE")):
        default = BODY["Parameters"][name]["Default"].removeprefix("python")
        assert f"{variable} ?= {default}\n" in makefile
        assert f"{variable} ?= {default}\n" in (ROOT / "infra/layer/Makefile").read_text()
    assert "export RUNTIME ARCHITECTURE PROJECT\n" in makefile


def test_one_choice_of_runtime_and_architecture_reaches_the_layer_and_the_parameters() -> None:
    chosen = ["RUNTIME=3.11", "ARCHITECTURE=x86_64"]
    layer = _commands("build-DependenciesLayer", *chosen, "ARTIFACTS_DIR=x", folder="infra/layer")
    assert "--python-version 3.11 " in layer
    assert "manylinux2014_x86_64 " in layer
    assert "manylinux2014_aarch64 " in _commands("build-DependenciesLayer", folder="infra/layer")
    deployed = _commands("deploy", *chosen)
    for command in ("account", "validate", "deploy"):
        given = f"infra.release {command} dev PythonRuntime=python3.11 Architecture=x86_64"
        assert given in deployed


def _commands(target: str, *variables: str, folder: str = ".") -> str:
    """Return the commands that make would run."""
    return subprocess.run(
        ["make", "--dry-run", "--directory", str(ROOT / folder), target, *variables],
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.parametrize("name", BODY["Parameters"])
def test_a_parameter_is_used(name: str) -> None:
    """A rule alone uses it if it is a consent."""
    text = TEMPLATE.read_text(encoding="utf-8").partition("\nConditions:\n")[2]
    if name == "SandboxInProd":
        text = json.dumps(BODY["Rules"]).replace('{"Ref": "SandboxInProd"}', "!Ref SandboxInProd")
    assert f"!Ref {name}" in text or f"${{{name}}}" in text


@pytest.mark.parametrize(
    ("stage", "rollout", "concurrency"),
    [
        ("dev", "AllAtOnce", 2),
        ("staging", "Canary10Percent5Minutes", 10),
        ("prod", "Canary10Percent5Minutes", 10),
    ],
)
def test_a_stage_has_its_rollout_and_its_share_of_the_account(
    stage: str, rollout: str, concurrency: int
) -> None:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())[stage]["deploy"]["parameters"]
    given = dict(one.split("=") for one in config["parameter_overrides"])
    defaults = {name: one.get("Default") for name, one in BODY["Parameters"].items()}
    values = {**defaults, **given}
    assert values["Rollout"] == rollout
    assert int(values["QueueConcurrency"]) == concurrency


def test_a_new_account_has_room_besides_the_queues_consumers_in_dev() -> None:
    reserved = BODY["Resources"]["ReconcileFunction"]["Properties"]["ReservedConcurrentExecutions"]
    assert reserved == {"Fn::If": ["Lasting", 1, {"Ref": "AWS::NoValue"}]}
    for function in CONSUMERS.values():
        [event] = BODY["Resources"][function]["Properties"]["Events"].values()
        scaling = event["Properties"]["ScalingConfig"]
        # runs that could not begin; SES's rate
        least = function in {"RestartOrderFunction", "SendConfirmationFunction"}
        assert scaling == {"MaximumConcurrency": 2 if least else {"Ref": "QueueConcurrency"}}
    assert len(CONSUMERS) * 2 < 10  # what one new account has (Lambda quotas)


# Rollout


def test_each_rollout_has_the_same_shape_for_functions_and_for_the_workflow() -> None:
    """SAM's names of rollouts are CodeDeploy's, whose shares and minutes they state."""
    rollouts = BODY["Mappings"]["Rollouts"]
    assert set(rollouts) == set(BODY["Parameters"]["Rollout"]["AllowedValues"])
    for name, rollout in rollouts.items():
        gradual = name != "AllAtOnce"
        assert rollout["Gradual"] == str(gradual).lower()
        if gradual:
            share, minutes, kind = rollout["Percentage"], rollout["Minutes"], rollout["Type"]
            every = "" if kind == "CANARY" else "Every"
            plural = "s" if minutes > 1 else ""
            assert name == f"{kind.title()}{share}Percent{every}{minutes}Minute{plural}"
        else:
            assert rollout["Type"] == "ALL_AT_ONCE"


def depends_on(value: Any) -> set[str]:
    """Return the logical ids that a part of the template refers to."""
    if isinstance(value, Mapping):
        found = set().union(*map(depends_on, value.values()), set())
        if "Ref" in value:
            found.add(value["Ref"].partition(".")[0])
        if "Fn::GetAtt" in value:
            found.add(value["Fn::GetAtt"][0])
        text = value.get("Fn::Sub")
        if text is not None:
            text = text if isinstance(text, str) else text[0]
            found |= {name for name in BODY["Resources"] if f"${{{name}" in text}
        return found
    return set().union(*map(depends_on, value), set()) if isinstance(value, list) else set()


def reached(name: str) -> set[str]:
    """Return the resources that a resource depends on, itself included."""
    found, waiting = set(), {name}
    while waiting:
        one = waiting.pop()
        found.add(one)
        waiting |= (depends_on(BODY["Resources"].get(one, {})) & set(BODY["Resources"])) - found
    return found


def test_an_alarm_that_stops_a_functions_rollout_depends_on_no_function() -> None:
    """The alias waits for its deployment, and the deployment group for the alarm."""
    alarms = BODY["Globals"]["Function"]["DeploymentPreference"]["Alarms"]
    assert alarms
    functions = {n for n, one in BODY["Resources"].items() if "Function" in one["Type"]}
    for alarm in alarms:
        assert BODY["Resources"][alarm["Ref"]]["Type"] == "AWS::CloudWatch::Alarm"
        assert not reached(alarm["Ref"]) & functions


def test_an_alarm_that_stops_the_workflows_rollout_does_not_depend_on_its_alias() -> None:
    preference = BODY["Resources"]["OrderProcessingAlias"]["Properties"]["DeploymentPreference"]
    condition, alarms, otherwise = preference["Alarms"]["Fn::If"]
    assert (condition, otherwise) == ("Gradual", {"Ref": "AWS::NoValue"})
    names = {alarm["Ref"] for alarm in alarms}
    assert {"OrderProcessingFailedAlarm", "LoggedErrorsAlarm"} <= names
    for name in names:
        assert "OrderProcessingAlias" not in reached(name)


def test_whatever_starts_the_workflow_names_its_alias() -> None:
    """An execution of the unqualified state machine would skip the rollout."""
    unqualified = {
        (name, key)
        for name, resource in BODY["Resources"].items()
        for key, value in starts(resource.get("Properties", {}), "")
        if "OrderProcessingAlias" not in depends_on(value)
    }
    assert unqualified == set()
    recovery = BODY["Resources"]["OrderRecovery"]["Properties"]["DefinitionSubstitutions"]
    assert recovery["OrderProcessingArn"]["Fn::Sub"][0].endswith(":${Name}:live-${WorkflowType}")
    alias = BODY["Resources"]["OrderProcessingAlias"]["Properties"]["Name"]
    assert alias == {"Fn::Sub": "live-${WorkflowType}"}


def starts(value: Any, key: str) -> Any:
    """Yield the values that say which state machine to start, with their keys."""
    if key == "ORDER_PROCESSING_ARN":
        yield key, value
    elif isinstance(value, Mapping):
        if value.get("Id") == "OrderProcessing":
            yield "Target", value["Arn"]
        for name, inner in value.items():
            yield from starts(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from starts(inner, key)


def test_the_errors_that_stop_a_rollout_are_those_that_handlers_log() -> None:
    source = (ROOT / "services/lambda_support/observability.py").read_text()
    assert 'log.exception("unexpected error")' in source  # Logger.exception has the level ERROR
    filter_ = BODY["Resources"]["LoggedErrors"]["Properties"]
    assert filter_["FilterPattern"] == '{ $.level = "ERROR" }'
    assert filter_["LogGroupName"] == {"Ref": "FunctionsLogGroup"}
    [metric] = filter_["MetricTransformations"]
    alarm = BODY["Resources"]["LoggedErrorsAlarm"]["Properties"]
    assert (alarm["Namespace"], alarm["MetricName"]) == (
        metric["MetricNamespace"],
        metric["MetricName"],
    )


def test_all_combinations_of_type_and_rollout_name_one_alias() -> None:
    kinds, rollouts = (
        BODY["Parameters"][one]["AllowedValues"] for one in ("WorkflowType", "Rollout")
    )
    for kind, rollout in product(kinds, rollouts):
        found = identities(TEMPLATE, {"WorkflowType": kind, "Rollout": rollout})
        assert found["OrderProcessingAlias"]["properties"] == {"Name": f"live-{kind}"}
