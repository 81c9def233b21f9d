"""Templates: references are resolved; unsupported parts are refused with name and path."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.local.directory.data_directory import DataDirectory
from infra.local.orderflow import profile_of
from infra.local.platform import stack_of
from infra.local.stack_loader import load
from infra.local.template.errors import TemplateError
from infra.local.template.loader import Template
from infra.local.template.project import TEMPLATE as SHIPPED
from infra.local.template.stack import Stack
from tests.fakes.runtime import ONE_STEP, TEMPLATE, WAITS, flow, task

ATTRIBUTES = {"Ref": "the-name", "Arn": "arn:aws:x:us-east-1:000000000000:the-name"}


def same(variable: str, value: str) -> str:
    """Return the value of a variable unchanged."""
    return value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "flow.asl.yaml").write_text(yaml.safe_dump(ONE_STEP))
    (tmp_path / "sub_flow.asl.yaml").write_text(yaml.safe_dump(WAITS))
    return tmp_path


def read(folder: Path, text: str, **parameters: str) -> Template:
    """Return a template whose resources all have the same attributes."""
    path = folder / "template.yaml"
    path.write_text(text)
    return Template(path, parameters, lambda name, resource: ATTRIBUTES)


def stack(folder: Path, text: str = TEMPLATE, **parameters: str) -> Stack:
    """Return the stack of a template."""
    path = folder / "template.yaml"
    path.write_text(text)
    return load(path, parameters, same)


def changed(**resources: Any) -> str:
    """Return the template with resources added, whose references are in the long form."""
    text = yaml.safe_dump({"Resources": resources})
    return TEMPLATE + "\n".join(text.splitlines()[1:]) + "\n"


def refusal(folder: Path, text: str = TEMPLATE, **parameters: str) -> TemplateError:
    """Return the error of a refused template."""
    with pytest.raises(TemplateError) as refused:
        stack(folder, text, **parameters)
    return refused.value


# ---- references

REFERRING = """
Parameters:
  Stage: {Type: String, Default: dev, AllowedValues: [dev, prod]}
  Size: {Type: Number, Default: 7}
Mappings:
  Stages: {dev: {Days: 14}}
Resources:
  Thing: {Type: Any, Properties: {X: WRITTEN}}
"""


@pytest.mark.parametrize(
    ("written", "resolved"),
    [
        ("!Ref Stage", "dev"),
        ("!Ref Size", "7"),
        ("!Ref Thing", "the-name"),
        ("!GetAtt Thing.Arn", ATTRIBUTES["Arn"]),
        ("!GetAtt [Thing, Arn]", ATTRIBUTES["Arn"]),
        ("{'Fn::GetAtt': [Thing, Arn]}", ATTRIBUTES["Arn"]),
        ("{Ref: Stage}", "dev"),
        ("!Ref AWS::Region", "us-east-1"),
        ("!Ref AWS::AccountId", "000000000000"),
        ("!Ref AWS::StackName", "orderflow"),
        ("!Sub plain", "plain"),
        ("!Sub 'x-${Stage}-y'", "x-dev-y"),
        ("!Sub '${Thing.Arn}/*'", f"{ATTRIBUTES['Arn']}/*"),
        ("!Sub '${AWS::Partition}:${AWS::Region}'", "aws:us-east-1"),
        ("!Sub 'keep ${!this} but ${Stage}'", "keep ${this} but dev"),
        ("!Sub ['${Own}-${Stage}', {Own: !Ref Size}]", "7-dev"),
        ("{a: [!Ref Stage, {b: !Ref Size}]}", {"a": ["dev", {"b": "7"}]}),
        ("!FindInMap [Stages, !Ref Stage, Days]", 14),
        ("5", 5),
    ],
)
def test_references_are_resolved_at_every_depth(folder: Path, written: str, resolved: Any) -> None:
    template = read(folder, REFERRING.replace("WRITTEN", written))
    value = template.resources["Thing"]["Properties"]["X"]
    assert template.resolve(value, "Here") == resolved


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"Ref": "Nothing"}, "refers to 'Nothing', which the template does not have"),
        ({"Fn::GetAtt": ["Nothing", "Arn"]}, "refers to 'Nothing'"),
        ({"Fn::GetAtt": ["Thing", "Colour"]}, "refers to Thing.Colour, which is not known here"),
        ({"Fn::Sub": "a ${Nothing} b"}, "refers to 'Nothing'"),
        ({"Fn::Sub": "a ${Thing.Colour} b"}, "refers to Thing.Colour"),
        ({"Fn::FindInMap": ["Stages", "dev", "Hours"]}, "no value at Stages / dev / Hours"),
        ({"Fn::FindInMap": ["Stages", "dev", "Days", "x"]}, "no value at Stages / dev / Days / x"),
        ({"Fn::If": ["A", 1, 2]}, "refers to the condition 'A', which does not exist"),
        ({"Fn::If": ["A", 1]}, "Fn::If is no list of a condition and two values"),
        ({"Fn::Join": ["", []]}, "Fn::Join is not supported"),
        ({"Fn::ImportValue": "x"}, "Fn::ImportValue is not supported"),
        ({"Condition": "IsProd"}, "Condition is not supported"),
    ],
)
def test_an_unresolvable_reference_is_refused_with_its_path(
    folder: Path, value: Any, problem: str
) -> None:
    template = read(folder, REFERRING)
    with pytest.raises(TemplateError) as refused:
        template.resolve({"a": [1, value]}, "Resources.X.Properties.Y")
    assert refused.value.place == "Resources.X.Properties.Y.a[1]"
    assert problem in refused.value.problem


# ---- parameters


@pytest.mark.parametrize(
    ("parameters", "place", "problem"),
    [
        ({"Stage": "test"}, "Parameters.Stage", "'test' is none of ['dev', 'prod']"),
        ({"Colour": "red"}, "Parameters.Colour", "is not a parameter of the template"),
    ],
)
def test_an_invalid_parameter_is_refused(
    folder: Path, parameters: dict[str, str], place: str, problem: str
) -> None:
    with pytest.raises(TemplateError) as refused:
        read(folder, REFERRING, **parameters)
    assert (refused.value.place, refused.value.problem) == (place, problem)


def test_a_parameter_without_a_default_needs_a_value(folder: Path) -> None:
    text = "Parameters: {Key: {Type: String}}\nResources: {}\n"
    with pytest.raises(TemplateError, match=r"Parameters\.Key: has no default; give it a value"):
        read(folder, text)
    assert read(folder, text, Key="k").resolve({"Ref": "Key"}, "") == "k"


@pytest.mark.parametrize("value", ["270", "many"])
def test_a_parameter_has_the_bounds_of_the_template(value: str) -> None:
    with pytest.raises(TemplateError, match="LeaseSeconds"):
        load(SHIPPED, {"LeaseSeconds": value}, same)


def test_references_to_parameters_have_their_values(folder: Path) -> None:
    assert stack(folder).state_machines["shop-flow"].kind == "STANDARD"
    assert stack(folder, FlowType="EXPRESS").state_machines["shop-flow"].kind == "EXPRESS"


# ---- the file itself


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read"),
        (b"a: [", "is not YAML"),
        (b"Resources: " + b"[" * 1_000 + b"]" * 1_000, "is nested deeper than 1000 levels"),
        (b"Resources: " + b"[" * 100_000, "is nested deeper than 1000 levels"),
        (b"- " * 100_000 + b"x", "is nested deeper than 1000 levels"),
        (b"Resources: &it {Properties: *it}", "is nested deeper than 1000 levels"),
        (b"Resources: " + b"!Sub [" * 5_000 + b"]" * 5_000, "is nested deeper than 1000 levels"),
        (b"- a list", "has no Resources"),
        (b"Resources: 5", "has no Resources"),
        (b"", "has no Resources"),
        pytest.param(
            b"Resources: \xff",
            "is not",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_file_that_is_not_a_template_is_refused_by_its_name(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    path = tmp_path / "template.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TemplateError) as refused:
        load(path, {}, same)
    assert refused.value.place == str(path)
    assert problem in refused.value.problem


# ---- unsupported resources and properties


@pytest.mark.parametrize(
    ("name", "resource", "place", "problem"),
    [
        (
            "Topic",
            {"Type": "AWS::SNS::Topic"},
            "Resources.Topic",
            "resource type AWS::SNS::Topic is not supported on one machine",
        ),
        ("Nameless", {"Properties": {}}, "Resources.Nameless", "is not supported"),
        (
            "Second",
            {"Type": "AWS::Events::EventBus"},
            "Resources.Second",
            "is a second bus; one machine has one",
        ),
        (
            "Late",
            {"Type": "AWS::SQS::Queue", "Properties": {"DelaySeconds": 5}},
            "Resources.Late.Properties.DelaySeconds",
            "is not supported on one machine",
        ),
        (
            "Off",
            {"Type": "AWS::Events::Rule", "Properties": {"State": "DISABLED"}},
            "Resources.Off.Properties.State",
            "is not supported on one machine",
        ),
        (
            "Bucketed",
            {
                "Type": "AWS::Serverless::Function",
                "Properties": {
                    "Handler": "a.b",
                    "Events": {"Upload": {"Type": "S3", "Properties": {}}},
                },
            },
            "Resources.Bucketed.Properties.Events.Upload",
            "event type S3 is not supported on one machine",
        ),
        (
            "Layered",
            {"Type": "AWS::Serverless::Function", "Properties": {"Layers": []}},
            "Resources.Layered.Properties.Layers",
            "is not supported on one machine",
        ),
        (
            "ToLambda",
            {
                "Type": "AWS::Events::Rule",
                "Properties": {
                    "EventPattern": {"source": ["a"]},
                    "Targets": [{"Id": "1", "Arn": {"Fn::GetAtt": ["Step", "Arn"]}}],
                },
            },
            "Resources.ToLambda.Properties.Targets[0].Arn",
            "targets of lambda are not supported on one machine",
        ),
        (
            "Transformed",
            {
                "Type": "AWS::Events::Rule",
                "Properties": {
                    "EventPattern": {"source": ["a"]},
                    "Targets": [
                        {
                            "Id": "1",
                            "Arn": {"Fn::GetAtt": ["Work", "Arn"]},
                            "InputPath": "$.detail",
                        }
                    ],
                },
            },
            "Resources.Transformed.Properties.Targets[0].InputPath",
            "is not supported on one machine",
        ),
        (
            "Nowhere",
            {
                "Type": "AWS::Events::Rule",
                "Properties": {
                    "EventPattern": {"source": ["a"]},
                    "Targets": [{"Id": "1", "Arn": "arn:aws:sqs:us-east-1:000000000000:Gone"}],
                },
            },
            "Resources.Nowhere.Properties.Targets[0].Arn",
            "'arn:aws:sqs:us-east-1:000000000000:Gone' does not exist; there are",
        ),
        (
            "Puzzling",
            {
                "Type": "AWS::Events::Rule",
                "Properties": {"EventPattern": {"detail": {"total": [{"bigger": 5}]}}},
            },
            "Resources.Puzzling.Properties.EventPattern",
            "bigger",
        ),
        (
            "Letterless",
            {
                "Type": "AWS::SQS::Queue",
                "Properties": {"RedrivePolicy": {"deadLetterTargetArn": "arn:aws:sqs:x:y:Gone"}},
            },
            "Resources.Letterless",
            "Gone does not exist",
        ),
        (
            "Hungry",
            {
                "Type": "AWS::Serverless::Function",
                "Properties": {
                    "Handler": "a.b",
                    "Events": {
                        "Q": {"Type": "SQS", "Properties": {"Queue": "arn:aws:sqs:x:y:Gone"}}
                    },
                },
            },
            "Resources.Hungry",
            "Gone does not exist",
        ),
    ],
)
def test_an_unsupported_resource_or_property_is_refused_with_name_and_path(
    folder: Path, name: str, resource: dict[str, Any], place: str, problem: str
) -> None:
    error = refusal(folder, changed(**{name: resource}))
    assert error.place == place
    assert problem in error.problem


@pytest.mark.parametrize(
    ("kind", "properties", "problem"),
    [
        pytest.param("SQS", {"FilterCriteria": {"Filters": []}}, "FilterCriteria"),
        pytest.param("SQS", {"FunctionResponseTypes": []}, "FunctionResponseTypes"),
        pytest.param("SQS", {"ScalingConfig": {"Minimum": 2}}, "Minimum"),
        pytest.param("SQS", {"ScalingConfig": {"MaximumConcurrency": 1}}, "not from 2 to 1000"),
        pytest.param(
            "ScheduleV2",
            {"ScheduleExpressionTimezone": "Europe/Berlin"},
            "ScheduleExpressionTimezone",
        ),
        pytest.param("ScheduleV2", {"State": "DISABLED"}, "State"),
        pytest.param("HttpApi", {"Method": "ANY"}, "Method"),
        pytest.param("HttpApi", {"Path": "/{proxy+}"}, "Path"),
    ],
)
def test_an_unsupported_property_of_an_event_source_is_refused(
    folder: Path, kind: str, properties: dict[str, Any], problem: str
) -> None:
    known: dict[str, dict[str, Any]] = {
        "SQS": {"Queue": {"Fn::GetAtt": ["Work", "Arn"]}},
        "ScheduleV2": {"ScheduleExpression": "rate(1 hour)"},
        "HttpApi": {"Method": "GET", "Path": "/x"},
    }
    source = {"Type": kind, "Properties": known[kind] | properties}
    resource = {
        "Type": "AWS::Serverless::Function",
        "Properties": {"Handler": "a.b", "Events": {"E": source}},
    }
    assert problem in str(refusal(folder, changed(Extra=resource)))


@pytest.mark.parametrize("expression", ["often", "rate(5 fortnights)", "cron(0 9 * * * *)"])
def test_an_unsupported_schedule_is_refused_when_the_template_is_read(
    folder: Path, expression: str
) -> None:
    resource = {
        "Type": "AWS::Serverless::Function",
        "Properties": {
            "Handler": "a.b",
            "Events": {
                "E": {"Type": "ScheduleV2", "Properties": {"ScheduleExpression": expression}}
            },
        },
    }
    error = refusal(folder, changed(Extra=resource))
    assert "Resources.Extra" in error.place
    assert expression in error.problem


def rule(**properties: Any) -> dict[str, Any]:
    """Return a rule to the Work queue, with these properties changed."""
    targets = [{"Id": "1", "Arn": {"Fn::GetAtt": ["Work", "Arn"]}}]
    known = {
        "EventBusName": {"Ref": "Bus"},
        "EventPattern": {"source": ["a"]},
        "Targets": targets,
    }
    return {"Type": "AWS::Events::Rule", "Properties": known | properties}


@pytest.mark.parametrize(
    ("resource", "problem"),
    [
        (rule(EventBusName="another-bus"), "another-bus"),
        (rule(EventBusName=None), "EventBusName"),
        (rule(Targets=rule()["Properties"]["Targets"] * 2), "Targets[1]"),
    ],
    ids=["a rule of another bus", "a rule of the default bus", "a target id twice"],
)
def test_a_resource_that_would_behave_differently_is_refused(
    folder: Path, resource: dict[str, Any], problem: str
) -> None:
    assert problem in str(refusal(folder, changed(Extra=resource)))


CONDITIONS = """Conditions: {Lasting: !Not [!Equals [!Ref Stage, dev]]}
Parameters:
  Stage: {Type: String, Default: dev}
"""


def test_a_conditional_resource_is_left_out_or_refused(folder: Path) -> None:
    queue = {"Type": "AWS::SQS::Queue", "Properties": {}, "Condition": "Lasting"}
    path = folder / "template.yaml"
    path.write_text(changed(Extra=queue).replace("Parameters:\n", CONDITIONS))
    assert "Extra" not in load(path, {}, same).queues
    with pytest.raises(TemplateError, match=r"^Resources\.Extra\.Condition: is met, which is not"):
        load(path, {"Stage": "prod"}, same)


def test_one_machine_has_no_hosted_console() -> None:
    assert "ConsoleFunction" not in load(SHIPPED, {}, same).functions
    with pytest.raises(TemplateError, match=r"^Resources\.ConsoleFunction\.Condition: is met"):
        load(SHIPPED, {"Console": "hosted"}, same)


def test_one_machine_says_where_its_console_is(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    assert stack_of(directory, parameters={"Console": "off"}).bus
    with pytest.raises(TemplateError) as refused:
        stack_of(directory, parameters={"Console": "hosted"})
    assert refused.value.place == "Parameters.Console"
    assert "/console/ of `orders serve`. Leave it off" in refused.value.problem


def test_a_queue_may_have_its_own_name(folder: Path) -> None:
    named = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "own-name"}}
    target = [{"Id": "1", "Arn": {"Fn::GetAtt": ["Named", "Arn"]}}]
    queues = stack(folder, changed(Named=named, Extra=rule(Targets=target))).queues
    assert "own-name" in queues


def test_an_archive_without_a_pattern_stores_every_event(folder: Path) -> None:
    text = TEMPLATE.replace("      EventPattern: {source: [shop]}\n", "")
    pattern = stack(folder, text).archive_pattern
    assert pattern is None or pattern.matches({"source": "anybody"})


def test_inert_resources_are_skipped(folder: Path) -> None:
    text = changed(
        Role={"Type": "AWS::IAM::Role", "Properties": {"Policies": [{"Fn::If": ["x", 1, 2]}]}},
        Policy={"Type": "AWS::SQS::QueuePolicy", "Properties": {"Any": "thing"}},
    )
    assert stack(folder, text).bus == "shop-bus"


# ---- definitions


def definition(folder: Path, body: Any) -> TemplateError:
    """Return the error of a template with this definition."""
    path = folder / "flow.asl.yaml"
    path.write_text(body if isinstance(body, str) else yaml.safe_dump(body))
    return refusal(folder)


def test_a_definition_gets_the_templates_substitutions(folder: Path) -> None:
    (folder / "flow.asl.yaml").write_text(yaml.safe_dump(flow(Step=task("${Other}"))))
    substituted = yaml.safe_load(stack(folder).state_machines["shop-flow"].definition)
    assert substituted["States"]["Step"]["Resource"].endswith(":function:Other")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (flow(Step=task("${Missing}")), "${Missing} has no value in the template"),
        (flow(Step=task(Next="Nowhere")), "Missing 'Next' target: Nowhere"),
        (flow(Step={"Type": "Nap", "End": True}), "Step"),
        ({**flow(Step=task()), "QueryLanguage": "SQL"}, "/QueryLanguage"),
        (flow(Step=task("arn:aws:states:::dynamodb:putItem")), "dynamodb:putItem"),
        (flow(Step=task("arn:aws:states:::sqs:sendMessage.sync")), "sendMessage.sync"),
        ("a: [", "is not YAML"),
        ("States: " + "[" * 100_000, "is nested deeper than 1000 levels"),
        ("just text", "is not a state machine definition"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_invalid_definition_is_refused_with_its_file_and_state(
    folder: Path, body: Any, problem: str
) -> None:
    error = definition(folder, body)
    assert error.place == str(folder / "flow.asl.yaml")
    assert problem in error.problem


def test_a_missing_definition_is_refused_by_its_file(folder: Path) -> None:
    (folder / "flow.asl.yaml").unlink()
    error = refusal(folder)
    assert error.place == str(folder / "flow.asl.yaml")
    assert "cannot be read" in error.problem


# ---- the resources of a stack


def test_a_target_has_its_retry_policy_and_dead_letter_queue(folder: Path) -> None:
    rules = {rule.name: rule for rule in stack(folder).rules}
    [target] = rules["WorkRule"].targets
    assert (target.kind, target.name, target.key) == ("queue", "Work", "WorkRule/Queue")
    assert (target.max_age, target.max_attempts) == (3600, 3)
    assert target.dead_letters == "TargetLetters"


def test_a_target_without_a_policy_is_tried_185_times_in_a_day_and_has_no_dead_letters(
    folder: Path,
) -> None:
    rules = {rule.name: rule for rule in stack(folder).rules}
    [target] = rules["NoReplaysRule"].targets
    assert (target.max_age, target.max_attempts, target.dead_letters) == (86_400, 185, None)


def test_a_queue_has_its_visibility_retention_and_redrive_policy(folder: Path) -> None:
    queues = stack(folder).queues
    work = queues["Work"]
    assert (work.visibility, work.retention) == (60, 86_400)
    assert (work.dead_letters, work.max_receives) == ("WorkLetters", 3)
    untouched = queues["Untouched"]
    assert (untouched.visibility, untouched.retention) == (30, 345_600)
    assert (untouched.dead_letters, untouched.max_receives) == (None, 0)


def test_a_queue_without_a_consumer_is_a_dead_letter_queue(folder: Path) -> None:
    assert stack(folder).dead_letter_queues == ["WorkLetters", "TargetLetters", "Untouched"]


def test_a_functions_settings_override_the_globals(folder: Path) -> None:
    text = (
        "Globals: {Function: {Timeout: 7, MemorySize: 512,"
        " Environment: {Variables: {A: global, B: global}}}}\n"
    ) + changed(
        Own={
            "Type": "AWS::Serverless::Function",
            "Properties": {
                "Handler": "a.b",
                "Timeout": 9,
                "Environment": {"Variables": {"B": "own", "C": {"Ref": "FlowType"}}},
            },
        }
    )
    functions = stack(folder, text).functions
    assert functions["Own"].variables == {"A": "global", "B": "own", "C": "STANDARD"}
    assert (functions["Own"].timeout, functions["Own"].memory) == (9, 512)
    assert (functions["Step"].timeout, functions["Step"].memory) == (7, 512)


def test_a_function_without_settings_has_lambdas_defaults(folder: Path) -> None:
    step = stack(folder).functions["Step"]
    assert (step.timeout, step.memory) == (3, 128)


@pytest.mark.parametrize(
    ("kind", "reference", "name"),
    [
        ("functions", "arn:aws:lambda:us-east-1:000000000000:function:Step", "Step"),
        ("functions", "Step", "Step"),
        ("queues", "https://sqs.us-east-1.amazonaws.com/000000000000/Work", "Work"),
        (
            "state_machines",
            "arn:aws:states:us-east-1:000000000000:stateMachine:shop-flow",
            "shop-flow",
        ),
    ],
)
def test_resources_are_found_by_name_arn_or_url(
    folder: Path, kind: str, reference: str, name: str
) -> None:
    assert stack(folder).name_of(kind, reference) == name


def test_an_unknown_name_is_refused_with_the_known_names(folder: Path) -> None:
    with pytest.raises(KeyError, match="'Gone' does not exist; there are SubFlow, shop-flow"):
        stack(folder).name_of("state_machines", "Gone")


def test_the_shipped_template_loads() -> None:
    shipped = load(SHIPPED, {}, same)
    assert shipped.bus == "orders-bus"
    assert len(shipped.rules) == 5
    assert len(shipped.state_machines) == 3
    assert [schedule.expression for schedule in shipped.schedules] == [
        "rate(5 minutes)",
        "cron(0 9 * * ? *)",
    ]


# ---- any malformed template is a TemplateError

ONE_OF_EACH: dict[str, Any] = {
    "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": "bus"}},
    "Archive": {
        "Type": "AWS::Events::Archive",
        "Properties": {"RetentionDays": 30, "EventPattern": {"source": ["a"]}},
    },
    "Rule": {
        "Type": "AWS::Events::Rule",
        "Properties": {
            "EventPattern": {"source": ["a"]},
            "Targets": [
                {
                    "Id": "1",
                    "Arn": {"Fn::GetAtt": ["Queue", "Arn"]},
                    "RetryPolicy": {"MaximumRetryAttempts": 3},
                    "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["Letters", "Arn"]}},
                }
            ],
        },
    },
    "Queue": {
        "Type": "AWS::SQS::Queue",
        "Properties": {
            "VisibilityTimeout": 60,
            "RedrivePolicy": {
                "deadLetterTargetArn": {"Fn::GetAtt": ["Letters", "Arn"]},
                "maxReceiveCount": 3,
            },
        },
    },
    "Letters": {"Type": "AWS::SQS::Queue"},
    "Function": {
        "Type": "AWS::Serverless::Function",
        "Properties": {
            "Handler": "a.b",
            "Timeout": 5,
            "Environment": {"Variables": {"A": "a"}},
            "Events": {
                "Q": {"Type": "SQS", "Properties": {"Queue": {"Fn::GetAtt": ["Queue", "Arn"]}}},
                "S": {
                    "Type": "ScheduleV2",
                    "Properties": {"ScheduleExpression": "rate(1 hour)"},
                },
                "H": {"Type": "HttpApi", "Properties": {"Method": "GET", "Path": "/x"}},
            },
        },
    },
    "Flow": {
        "Type": "AWS::Serverless::StateMachine",
        "Properties": {
            "DefinitionUri": "flow.asl.yaml",
            "DefinitionSubstitutions": {"Step": {"Fn::GetAtt": ["Function", "Arn"]}},
        },
    },
}


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = list(value.items()) if isinstance(value, dict) else []
    for key, entry in items + list(enumerate(value if isinstance(value, list) else [])):
        yield from _paths(entry, (*path, key))


def _without(holder: Any, key: Any) -> None:
    del holder[key]


def _nonsense(holder: Any, key: Any) -> None:
    holder[key] = "nonsense"


def _number(holder: Any, key: Any) -> None:
    holder[key] = 5


@pytest.mark.parametrize("damage", [_without, _nonsense, _number])
def test_a_damaged_template_loads_or_is_a_template_error(
    folder: Path, damage: Callable[[Any, Any], None]
) -> None:
    raw: dict[str, str] = {}
    for path in _paths(ONE_OF_EACH):
        resources = copy.deepcopy(ONE_OF_EACH)
        holder = resources
        for step in path[:-1]:
            holder = holder[step]
        damage(holder, path[-1])
        try:
            stack(folder, yaml.safe_dump({"Resources": resources}))
        except TemplateError:
            continue
        except Exception as error:  # noqa: BLE001 - the test is that there is no other
            raw[".".join(map(str, path))] = repr(error)
    assert raw == {}


# ---- versions and aliases of state machines

VERSION = {
    "Type": "AWS::StepFunctions::StateMachineVersion",
    "Properties": {"StateMachineArn": {"Ref": "Flow"}, "StateMachineRevisionId": "1"},
}


def alias(version: Any) -> dict[str, Any]:
    preference = {"StateMachineVersionArn": version, "Type": "ALL_AT_ONCE"}
    properties = {"Name": "live", "DeploymentPreference": preference}
    return {"Type": "AWS::StepFunctions::StateMachineAlias", "Properties": properties}


def test_an_alias_is_another_name_of_its_state_machine(folder: Path) -> None:
    names = {"FlowVersion": VERSION, "FlowAlias": alias({"Ref": "FlowVersion"})}
    text = changed(**names, ByAlias=RULE_OF_ALIAS)
    [target] = next(one for one in stack(folder, text).rules if one.name == "ByAlias").targets
    assert (target.kind, target.name) == ("machine", "shop-flow")


RULE_OF_ALIAS = {
    "Type": "AWS::Events::Rule",
    "Properties": {
        "EventBusName": {"Ref": "Bus"},
        "EventPattern": {"source": ["s"]},
        "Targets": [{"Id": "Flow", "Arn": {"Ref": "FlowAlias"}}],
    },
}


@pytest.mark.parametrize("version", [None, "arn", {"Ref": "FlowAlias"}])
def test_an_alias_of_no_version_is_refused(folder: Path, version: Any) -> None:
    refused = refusal(folder, changed(FlowVersion=VERSION, FlowAlias=alias(version)))
    place = "Resources.FlowAlias.Properties.DeploymentPreference.StateMachineVersionArn"
    assert refused.place == place


def test_a_qualified_arn_names_its_function_or_state_machine(folder: Path) -> None:
    loaded = stack(folder)
    for table, kind in (("state_machines", "stateMachine"), ("functions", "function")):
        [name, *_] = getattr(loaded, table)
        arn = f"arn:aws:any:us-east-1:000000000000:{kind}:{name}"
        assert loaded.name_of(table, arn) == loaded.name_of(table, f"{arn}:live") == name


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("EXPRESS", "orderflow-order-processing"),
        ("STANDARD", "orderflow-order-processing-standard"),
    ],
)
def test_the_workflows_name_has_its_type(kind: str, name: str) -> None:
    shipped = load(SHIPPED, {"WorkflowType": kind}, same)
    assert set(shipped.state_machines) == {name, "OrderRecovery", "OrderApproval"}
    assert shipped.state_machines[name].kind == kind
    assert profile_of(shipped.state_machines).order_machine == name
    starts = [
        target for rule in shipped.rules for target in rule.targets if target.kind == "machine"
    ]
    assert [target.name for target in starts] == [name]
    assert f"stateMachine:{name}:live-{kind}" in shipped.state_machines["OrderRecovery"].definition
