"""Deploying and deleting a stage, against stubs that check each request by AWS's service model."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.stub import ANY, Stubber

from infra.packaging.definitions import TEMPLATE as BUILT
from infra.packaging.definitions import state_machines, write_definitions
from infra.queries.athena import TEMPLATE
from infra.release.__main__ import SAM, main
from infra.release.account import Need, need_of
from infra.release.deletion import REMOVERS
from infra.release.stage import ReleaseError, overrides, read_stage, template_of
from infra.release.topic import check_topic
from infra.release.validation import definitions, named, policies, validate
from tests.contract.test_updates import KEPT
from tests.rehearsal.template import read

ROOT = TEMPLATE.parent
CONFIG = ROOT / "samconfig.toml"


class Aws:
    """Clients of AWS whose answers are given; each request must be the next one expected."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._stubs: dict[str, tuple[Any, Stubber]] = {}

    def __call__(self, service: str) -> Any:
        return self._stub(service)[0]

    def _stub(self, service: str) -> tuple[Any, Stubber]:
        if service not in self._stubs:
            keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
            client = boto3.client(service, region_name="us-east-1", **keys)  # type: ignore[call-overload]
            self._stubs[service] = client, self._stack.enter_context(Stubber(client))
        return self._stubs[service]

    def answer(self, service: str, operation: str, answer: Any, **request: Any) -> None:
        self._stub(service)[1].add_response(operation, answer, request or None)

    def refuse(self, service: str, operation: str, code: str) -> None:
        self._stub(service)[1].add_client_error(operation, code)

    def check(self) -> None:
        """Fail if an expected request was not made."""
        for _, stub in self._stubs.values():
            stub.assert_no_pending_responses()


@pytest.fixture
def aws() -> Iterator[Aws]:
    clients = Aws()
    yield clients
    clients.check()


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a build folder with the template and the definitions."""
    folder: Path = tmp_path_factory.mktemp("clone") / ".aws-sam" / "build"
    folder.mkdir(parents=True)
    (folder.parents[1] / "workflows").symlink_to(ROOT / "workflows")
    body = read(TEMPLATE)
    for _, properties in state_machines(body):
        properties["DefinitionUri"] = f"../../{properties['DefinitionUri']}"
    (folder / BUILT).write_text(yaml.safe_dump(body, sort_keys=False))
    write_definitions(folder)
    return folder


# ---- the account


def limit(quota: int) -> dict[str, Any]:
    return {"AccountLimit": {"ConcurrentExecutions": quota}}


@pytest.mark.parametrize(
    ("stage", "need"),
    [
        ("dev", Need(unreserved=0, reserved=0, provisioned=0, consumers=8, streams=4)),
        ("staging", Need(unreserved=100, reserved=1, provisioned=0, consumers=24, streams=4)),
        ("prod", Need(unreserved=100, reserved=1, provisioned=2, consumers=24, streams=4)),
    ],
)
def test_a_stages_need_is_computed_from_the_template(stage: str, need: Need) -> None:
    read_ = read_stage(stage, config=CONFIG)
    assert need_of(template_of(read_, named, TEMPLATE), read_) == need


@pytest.mark.parametrize(("stage", "reserved"), [("dev", 0), ("staging", 25), ("prod", 25)])
def test_a_hosted_console_is_part_of_the_need(stage: str, reserved: int) -> None:
    read_ = read_stage(stage, ["Console=hosted"], CONFIG)
    assert need_of(template_of(read_, named, TEMPLATE), read_).reserved == reserved


@pytest.mark.parametrize("stage", ["staging", "prod"])
def test_a_new_account_is_told_what_quota_to_ask_for(
    aws: Aws, stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    aws.answer("lambda", "get_account_settings", limit(10))
    assert main(["account", stage], lambda _: aws) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "10 concurrent executions in us-east-1" in said
    for part in (
        "aws service-quotas request-service-quota-increase --region us-east-1",
        "--service-code lambda --quota-code L-B99A9384 --desired-value 1000",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("stage", "quota"), [("dev", 10), ("dev", 5), ("staging", 129), ("prod", 131), ("prod", 1000)]
)
def test_dev_takes_what_there_is_and_others_what_they_need(
    aws: Aws, stage: str, quota: int
) -> None:
    aws.answer("lambda", "get_account_settings", limit(quota))
    assert main(["account", stage], lambda _: aws) == 0


@pytest.mark.parametrize(("stage", "quota"), [("staging", 128), ("prod", 130)])
def test_one_execution_too_few_is_refused(aws: Aws, stage: str, quota: int) -> None:
    aws.answer("lambda", "get_account_settings", limit(quota))
    assert main(["account", stage], lambda _: aws) == 1


TOPIC = "arn:aws:sns:us-east-1:123456789012:alarms"


@pytest.mark.parametrize("key", [None, "arn:aws:kms:us-east-1:123456789012:key/mine"])
def test_a_topic_that_alarms_can_notify_is_accepted(aws: Aws, key: str | None) -> None:
    attributes = {"TopicArn": TOPIC, **({"KmsMasterKeyId": key} if key else {})}
    aws.answer("sns", "get_topic_attributes", {"Attributes": attributes}, TopicArn=TOPIC)
    stage = read_stage("dev", [f"AlarmTopic={TOPIC}"], CONFIG)
    assert check_topic(stage, aws("sns")) == f"alarms: {TOPIC}"


@pytest.mark.parametrize("key", ["alias/aws/sns", "arn:aws:kms:us-east-1:1:alias/aws/sns"])
def test_a_topic_with_the_key_of_sns_is_refused(aws: Aws, key: str) -> None:
    aws.answer("sns", "get_topic_attributes", {"Attributes": {"KmsMasterKeyId": key}})
    with pytest.raises(ReleaseError, match="alias/aws/sns, which CloudWatch may not use"):
        check_topic(read_stage("dev", [f"AlarmTopic={TOPIC}"], CONFIG), aws("sns"))


def test_a_topic_of_another_region_is_refused(aws: Aws) -> None:
    topic = TOPIC.replace("us-east-1", "eu-west-1")
    with pytest.raises(ReleaseError, match="is of eu-west-1, and an alarm of us-east-1"):
        check_topic(read_stage("dev", [f"AlarmTopic={topic}"], CONFIG), aws("sns"))


@pytest.mark.parametrize(
    ("code", "is_refused"), [("NotFound", True), ("AuthorizationError", False)]
)
def test_a_topic_that_does_not_exist_is_refused(aws: Aws, code: str, *, is_refused: bool) -> None:
    aws.refuse("sns", "get_topic_attributes", code)
    stage = read_stage("dev", [f"AlarmTopic={TOPIC}"], CONFIG)
    if is_refused:
        with pytest.raises(ReleaseError, match=TOPIC):
            check_topic(stage, aws("sns"))
    else:
        assert "not checked" in check_topic(stage, aws("sns"))


@pytest.mark.parametrize(
    ("name", "given", "is_refused"),
    [
        ("orders-at-amazon", ["Console=hosted"], True),
        ("laws", ["Console=hosted"], True),
        ("laws", ["Console=off"], False),
        ("laws", [], False),
        ("orders", ["Console=hosted"], False),
    ],
)
def test_a_stack_with_a_hosted_console_has_no_reserved_word_in_its_name(
    tmp_path: Path, name: str, given: Sequence[str], *, is_refused: bool
) -> None:
    config = tmp_path / "samconfig.toml"
    config.write_text(CONFIG.read_text().replace("orderflow-dev", name))
    if is_refused:
        with pytest.raises(ReleaseError, match=rf"stack_name '{name}' has the word 'a\w+', which"):
            read_stage("dev", given, config)
    else:
        assert read_stage("dev", given, config).stack == name


@pytest.mark.parametrize("name", ["Orderflow", "o" * 33, "1orders", "orders_dev"])
def test_a_stack_name_that_no_resource_could_have_is_refused(tmp_path: Path, name: str) -> None:
    config = tmp_path / "samconfig.toml"
    config.write_text(CONFIG.read_text().replace("orderflow-dev", name))
    with pytest.raises(ReleaseError, match=f"stack_name '{name}' is no name for this stack"):
        read_stage("dev", [], config)


def test_a_parameter_of_the_command_overrides_the_stages() -> None:
    stage = read_stage("dev", ["QueueConcurrency=5", "HighValueThresholds=JPY=1 KRW=2"], CONFIG)
    assert stage.parameters["QueueConcurrency"] == "5"
    assert overrides(stage.parameters) == [
        'Environment="dev"',
        'QueueConcurrency="5"',
        'HighValueThresholds="JPY=1 KRW=2"',
    ]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ["deploy", "test"],
            "ENV=test is no stage of samconfig.toml; there are dev, staging, prod",
        ),
        (["deploy"], "ENV= is no stage"),
        (["deploy", "dev", "Rollout"], "'Rollout' is malformed; write it as Name=Value"),
        (["undeploy", "dev"], "'undeploy' is none of account, validate, deploy, delete"),
        ([], "is none of"),
    ],
)
def test_a_wrong_command_is_refused(
    arguments: Sequence[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments, lambda _: Aws()) == 1
    assert problem in " ".join(capsys.readouterr().err.split())


# ---- AWS's checks


@pytest.mark.parametrize("console", ["off", "hosted"])
def test_the_checked_documents_have_no_references_left(build: Path, console: str) -> None:
    stage = read_stage("prod", [f"Console={console}"], CONFIG)
    template = template_of(stage, named, build / BUILT)
    checked = [json.dumps(policy.document) for policy in policies(template)]
    checked += [text for _, _, text in definitions(template, build)]
    roles = sum(1 for _ in template.of_type("AWS::IAM::Role"))
    assert len(checked) > 2 * roles
    for text in checked:
        assert "Fn::" not in text
        assert "${" not in text
    kinds = {name: kind for name, kind, _ in definitions(template, build)}
    standard = dict.fromkeys(("OrderRecovery", "OrderApproval"), "STANDARD")
    assert kinds == {"OrderProcessing": "EXPRESS", **standard}


def test_access_analyzer_gets_the_arn_of_a_user_pool_as_iam_has_it(build: Path) -> None:
    """An ARN of a service that IAM does not know is an error of the policy."""
    stage = read_stage("prod", ["Console=hosted"], CONFIG)
    template = template_of(stage, named, build / BUILT)
    [users] = [one for one in policies(template) if one.place == "ConsoleRole: users"]
    [statement] = users.document["Statement"]
    assert statement["Resource"].startswith("arn:aws:cognito-idp:us-east-1:000000000000:userpool/")


def expect_checks(
    aws: Aws,
    build: Path,
    diagnostics: Sequence[Mapping[str, str]] = (),
    findings: Sequence[Mapping[str, Any]] = (),
) -> Any:
    """Expect a check of each definition and policy; the first ones have these findings."""
    template = template_of(read_stage("prod", config=CONFIG), named, build / BUILT)
    for n, (_, kind, text) in enumerate(definitions(template, build)):
        found = list(diagnostics) if n == 0 else []
        answer = {"result": "FAIL" if found else "OK", "diagnostics": found}
        request = {"definition": text, "type": kind}
        aws.answer("stepfunctions", "validate_state_machine_definition", answer, **request)
    for n, policy in enumerate(policies(template)):
        answer = {"findings": list(findings) if n == 0 else []}
        request = {"policyDocument": json.dumps(policy.document), **policy.checked_as}
        aws.answer("accessanalyzer", "validate_policy", answer, **request)
    return template


def test_each_definition_and_policy_is_checked(aws: Aws, build: Path) -> None:
    lines = validate(expect_checks(aws, build), aws, build)
    assert [line.partition(" ")[2] for line in lines] == [
        "workflow definitions checked by Step Functions",
        "policies checked by IAM Access Analyzer",
    ]


FINDING = {
    "findingDetails": "The action does not exist.",
    "issueCode": "INVALID_ACTION",
    "learnMoreLink": "https://docs.aws.amazon.com/",
    "locations": [],
}
DIAGNOSTIC = {"code": "SCHEMA_VALIDATION_FAILED", "message": "Next is missing", "location": "/A"}


@pytest.mark.parametrize("kind", ["ERROR", "SECURITY_WARNING"])
def test_a_refused_policy_stops_the_deployment(aws: Aws, build: Path, kind: str) -> None:
    template = expect_checks(aws, build, findings=[{**FINDING, "findingType": kind}])
    with pytest.raises(ReleaseError, match=f"{kind}: RulesRole: trust: INVALID_ACTION"):
        validate(template, aws, build)


def test_a_refused_definition_stops_the_deployment(aws: Aws, build: Path) -> None:
    template = expect_checks(aws, build, diagnostics=[{**DIAGNOSTIC, "severity": "ERROR"}])
    with pytest.raises(ReleaseError, match="ERROR: OrderProcessing/A: SCHEMA_VALIDATION_FAILED"):
        validate(template, aws, build)


def test_a_suggestion_is_shown_and_stops_nothing(aws: Aws, build: Path) -> None:
    findings = [{**FINDING, "findingType": "SUGGESTION"}]
    diagnostics = [{**DIAGNOSTIC, "severity": "WARNING"}]
    lines = validate(expect_checks(aws, build, diagnostics, findings), aws, build)
    assert any(line.startswith("SUGGESTION: RulesRole") for line in lines)
    assert any(line.startswith("WARNING: OrderProcessing/A") for line in lines)


def test_a_caller_who_may_not_check_deploys_all_the_same(aws: Aws, build: Path) -> None:
    template = template_of(read_stage("prod", config=CONFIG), named, build / BUILT)
    aws.refuse("stepfunctions", "validate_state_machine_definition", "AccessDeniedException")
    aws.refuse("accessanalyzer", "validate_policy", "AccessDeniedException")
    assert validate(template, aws, build) == [
        "not checked, the caller may not call ValidateStateMachineDefinition",
        "not checked, the caller may not call ValidatePolicy",
    ]


def test_another_error_of_a_check_is_no_permission(aws: Aws, build: Path) -> None:
    template = template_of(read_stage("prod", config=CONFIG), named, build / BUILT)
    aws.refuse("stepfunctions", "validate_state_machine_definition", "ValidationException")
    with pytest.raises(ReleaseError, match="AWS did not check the build"):
        validate(template, aws, build)


# ---- deployment


def test_a_stage_that_lasts_is_protected_after_its_deployment(aws: Aws) -> None:
    ran: list[Sequence[str]] = []

    def run(command: Sequence[str]) -> int:
        ran.append(command)
        answer = {"StackId": "any"}
        request = {"StackName": "orderflow-prod", "EnableTerminationProtection": True}
        aws.answer("cloudformation", "update_termination_protection", answer, **request)
        return 0

    assert main(["deploy", "prod", "JwtIssuer=https://i.example"], lambda _: aws, run) == 0
    [command] = ran
    assert command[:5] == [SAM, "deploy", "--config-env", "prod", "--parameter-overrides"]
    assert 'Environment="prod"' in command
    assert 'JwtIssuer="https://i.example"' in command


def test_dev_is_not_protected(aws: Aws) -> None:
    assert main(["deploy", "dev"], lambda _: aws, lambda _: 0) == 0


def test_a_failed_deployment_is_reported_and_protects_nothing(aws: Aws) -> None:
    assert main(["deploy", "prod"], lambda _: aws, lambda _: 1) == 1


# ---- deletion

STACK = "arn:aws:cloudformation:us-east-1:123456789012:stack/orderflow-dev/1"
AT = datetime(2026, 11, 29, tzinfo=UTC)


def stack(status: str, name: str = "orderflow-dev", stack_id: str = STACK) -> dict[str, Any]:
    return {"StackId": stack_id, "StackName": name, "CreationTime": AT, "StackStatus": status}


def expect_stack(aws: Aws, *, protected: bool = False) -> None:
    summaries = [stack("DELETE_COMPLETE", stack_id=f"{STACK}0"), stack("CREATE_COMPLETE")]
    aws.answer("cloudformation", "list_stacks", {"StackSummaries": summaries})
    described = {**stack("CREATE_COMPLETE"), "EnableTerminationProtection": protected}
    aws.answer("cloudformation", "describe_stacks", {"Stacks": [described]}, StackName=STACK)


def expect_skipped(aws: Aws, stack_id: str = STACK) -> None:
    skipped = {
        "AWS::Events::EventBus": "orders-bus",
        "AWS::Events::Archive": "orders-archive",
        "AWS::SQS::Queue": "https://sqs.us-east-1.amazonaws.com/123456789012/dead",
        "AWS::DynamoDB::Table": "orders",
        "AWS::S3::Bucket": "bucket",
    }
    summaries = [resource(kind, name, "DELETE_SKIPPED") for kind, name in skipped.items()] + [
        resource("AWS::SQS::Queue", "https://sqs/consumed", "DELETE_COMPLETE")
    ]
    answer = {"StackResourceSummaries": summaries}
    aws.answer("cloudformation", "list_stack_resources", answer, StackName=stack_id)


def resource(kind: str, name: str, status: str) -> dict[str, Any]:
    return {
        "LogicalResourceId": "Any",
        "PhysicalResourceId": name,
        "ResourceType": kind,
        "LastUpdatedTimestamp": AT,
        "ResourceStatus": status,
    }


def expect_removal(aws: Aws) -> None:
    versions = [{"Key": "a", "VersionId": "1"}, {"Key": "a", "VersionId": "2"}]
    markers = [{"Key": "b", "VersionId": "3"}]
    page = {"Versions": versions, "DeleteMarkers": markers}
    aws.answer("s3", "list_object_versions", page, Bucket="bucket")
    batch = {"Objects": [*versions, *markers], "Quiet": True}
    aws.answer("s3", "delete_objects", {}, Bucket="bucket", Delete=batch)
    aws.answer("s3", "delete_bucket", {}, Bucket="bucket")
    aws.answer("dynamodb", "delete_table", {}, TableName="orders")
    url = "https://sqs.us-east-1.amazonaws.com/123456789012/dead"
    aws.answer("sqs", "delete_queue", {}, QueueUrl=url)
    aws.answer("events", "delete_archive", {}, ArchiveName="orders-archive")
    aws.answer("events", "delete_event_bus", {}, Name="orders-bus")


def test_dev_leaves_nothing_behind(aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    expect_stack(aws)
    aws.answer("cloudformation", "delete_stack", {}, StackName=STACK)
    deleted = {"Stacks": [stack("DELETE_COMPLETE")]}
    aws.answer("cloudformation", "describe_stacks", deleted, StackName=STACK)  # the waiter's
    expect_skipped(aws)
    expect_removal(aws)
    assert main(["delete", "dev"], lambda _: aws) == 0
    assert capsys.readouterr().out.count("deleted ") == 6


def test_an_interrupted_deletion_is_completed(aws: Aws) -> None:
    summaries = [stack("DELETE_COMPLETE"), stack("CREATE_COMPLETE", "other")]
    aws.answer("cloudformation", "list_stacks", {"StackSummaries": summaries})
    expect_skipped(aws)
    aws.refuse("s3", "list_object_versions", "NoSuchBucket")
    aws.refuse("dynamodb", "delete_table", "ResourceNotFoundException")
    aws.refuse("sqs", "delete_queue", "AWS.SimpleQueueService.NonExistentQueue")
    aws.refuse("events", "delete_archive", "ResourceNotFoundException")
    aws.answer("events", "delete_event_bus", {}, Name="orders-bus")
    assert main(["delete", "dev"], lambda _: aws) == 0


@pytest.mark.parametrize("stage", ["staging", "prod"])
def test_a_stage_that_lasts_is_not_deleted(aws: Aws, stage: str) -> None:
    assert main(["delete", stage], lambda _: aws) == 1


def test_a_protected_stack_is_not_deleted(aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    expect_stack(aws, protected=True)
    assert main(["delete", "dev"], lambda _: aws) == 1
    assert "--no-enable-termination-protection" in capsys.readouterr().err


def test_no_stack_is_an_error(aws: Aws) -> None:
    aws.answer("cloudformation", "list_stacks", {"StackSummaries": [stack("CREATE_FAILED", "o")]})
    assert main(["delete", "dev"], lambda _: aws) == 1


def test_an_object_that_stays_is_an_error(aws: Aws) -> None:
    aws.answer("cloudformation", "list_stacks", {"StackSummaries": [stack("DELETE_COMPLETE")]})
    expect_skipped(aws)
    page = {"Versions": [{"Key": "a", "VersionId": "1"}]}
    aws.answer("s3", "list_object_versions", page, Bucket="bucket")
    failed = {"Errors": [{"Key": "a", "Code": "AccessDenied", "Message": "Access Denied"}]}
    aws.answer("s3", "delete_objects", failed, Bucket="bucket", Delete=ANY)
    assert main(["delete", "dev"], lambda _: aws) == 1


def test_each_retained_type_is_removed_and_the_archive_before_its_bus() -> None:
    assert set(REMOVERS) == {*KEPT, "AWS::SQS::Queue"}
    order = list(REMOVERS)
    assert order.index("AWS::Events::Archive") < order.index("AWS::Events::EventBus")
