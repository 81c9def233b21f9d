"""Workflows that use their input in every part of the workflow language.

Each accepts any JSON as its input: `$` is the input, `$.a` a field that it may have.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from infra.local.template.task_parameters import PARAMETERS
from tests.fakes.runtime import TEMPLATE, flow, task

Definition = dict[str, Any]

PATHS = (
    *(
        "$",
        "$.a",
        "$['a']['b']",
        "$[0]",
        "$[-1]",
        "$.detail.items",
        "$[*]",
        "$.*",
        "$..a",
        "$..[0]",
    ),
    *("$[0:2]", "$[-2:]", "$['a','b']", "$[0,1]", "$..[?(@.a)]", "$[?(@.a == 1)]", "$[?(!@.a)]"),
    *(
        "$.a[?(@.b > 1 && @.c != 'x')]",
        "$..['a']",
        "$$",
        "$$.Execution.Input",
    ),
)
"""Paths of each form in the language."""

CALLS = (
    *("States.Array($, 1)", "States.Array()", "States.ArrayPartition($, 2)"),
    *("States.ArrayPartition(States.Array(1, 2), $)", "States.ArrayContains($, 1)"),
    *("States.ArrayContains($, $.a)", "States.ArrayContains(States.Array($), $)"),
    *("States.ArrayRange($, 5, 1)", "States.ArrayRange(1, $, 1)", "States.ArrayRange(1, 5, $)"),
    *("States.ArrayGetItem($, 0)", "States.ArrayGetItem(States.Array(1), $)"),
    *("States.ArrayLength($)", "States.ArrayUnique($)", "States.ArrayUnique(States.Array($, $))"),
    *("States.Base64Encode($)", "States.Base64Decode($)", "States.Format('{}', $)"),
    *("States.Base64Encode(States.JsonToString($))", "States.Format($)", "States.Format($, 1)"),
    *("States.Format($.a, $.b)", "States.Hash($, 'SHA-256')", "States.Hash('x', $)"),
    *("States.JsonMerge($, $, false)", "States.JsonMerge($.a, $.b, false)"),
    *("States.JsonMerge($, $, $.a)", "States.StringToJson($)", "States.JsonToString($)"),
    "States.StringToJson(States.JsonToString($))",
    "States.StringToJson(States.Format('[{}]', $))",
    *("States.MathRandom($, 5)", "States.MathRandom(1, $)", "States.MathRandom(1, 5, $)"),
    *("States.MathAdd($, 1)", "States.MathAdd($, $)", "States.StringSplit($, ',')"),
    *("States.StringSplit('a,b', $)", "States.StringSplit($, $)", "States.UUID()"),
)
"""Calls of each intrinsic function, with the input as each argument."""

LITERALS: Mapping[str, tuple[Any, ...]] = {
    "String": ("", "a"),
    "Numeric": (0, 1e300, 10**400),
    "Boolean": (True,),
    "Timestamp": ("2026-01-31T12:00:00Z",),
}
RELATIONS = ("Equals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
IS = ("Null", "Present", "Numeric", "String", "Boolean", "Timestamp")


def _rules() -> Iterator[Definition]:
    """Yield a rule of each operator, on the whole input and on a field."""
    for variable in ("$", "$.a", "$[0]"):
        for kind, literals in LITERALS.items():
            for relation in RELATIONS if kind != "Boolean" else RELATIONS[:1]:
                for literal in literals:
                    yield {"Variable": variable, f"{kind}{relation}": literal}
                for other in ("$", "$.b"):
                    yield {"Variable": variable, f"{kind}{relation}Path": other}
        for what in IS:
            yield {"Variable": variable, f"Is{what}": True}
        for pattern in ("*", "a*b*c*d", "\\*\\\\*"):
            yield {"Variable": variable, "StringMatches": pattern}


def choices() -> Definition:
    """Return a workflow that evaluates every rule; each is combined with a rule that is false."""
    never = {"Not": {"Variable": "$", "IsPresent": True}}
    rules = []
    for rule in _rules():
        paths = [rule["Variable"], *(path for name, path in rule.items() if name.endswith("Path"))]
        present = [{"Variable": path, "IsPresent": True} for path in paths]
        rules.append({"And": [*present, {"Or": [rule, {"Not": rule}]}, never], "Next": "Done"})
    choice = {"Type": "Choice", "Choices": rules, "Default": "Done"}
    return flow(Choice=choice, Done={"Type": "Succeed"})


def _passes() -> Iterator[tuple[str, Definition]]:
    """Yield a Pass state for each field that may have a path or a call."""
    for path in PATHS:
        yield f"Parameters {path}", {"Parameters": {"x.$": path, "in": [{"y.$": path}]}}
        if path.startswith("$$"):
            continue
        yield f"InputPath {path}", {"InputPath": path}
        yield f"OutputPath {path}", {"OutputPath": path}
    for call in CALLS:
        yield call, {"Parameters": {"x.$": call}}
    for place in ("$", "$.a", "$.a.b.c", "$[0]", "$.a[1]", "$['x y']", None):
        yield f"ResultPath {place}", {"Result": {"r": 1}, "ResultPath": place}
        yield f"ResultPath {place} of the input", {"ResultPath": place}
    yield "Assign", {"Assign": {"v.$": "$", "w.$": "$.a"}}
    yield "Parameters that grow", {"Parameters": {"a.$": "$", "b.$": "$", "c": {"d.$": "$"}}}


def _others() -> Iterator[tuple[str, Definition]]:
    """Yield workflows of the other states."""
    again = {"ErrorEquals": ["States.ALL"], "MaxAttempts": 1, "IntervalSeconds": 1}
    caught = {"ErrorEquals": ["States.ALL"], "ResultPath": "$.caught", "Next": "Caught"}
    end, item = {"Type": "Pass", "End": True}, flow(Item={"Type": "Pass", "End": True})
    for field in ("SecondsPath", "TimestampPath"):
        for path in ("$", "$.wait"):
            yield f"{field} {path}", flow(Wait={"Type": "Wait", field: path, "End": True})
    for field in ("ErrorPath", "CausePath"):
        yield field, flow(Fail={"Type": "Fail", field: "$"})
    for path in ("$", "$.a", "$.items", "$[*]"):
        mapped = {"Type": "Map", "ItemsPath": path, "ItemProcessor": item, "End": True}
        yield f"ItemsPath {path}", flow(Map=mapped)
    chosen = {"i.$": "$$.Map.Item.Index", "v.$": "$$.Map.Item.Value", "all.$": "$.a"}
    base = {"Type": "Map", "ItemProcessor": item, "End": True}
    yield "ItemSelector", flow(Map={**base, "ItemSelector": chosen, "ResultPath": "$.a"})
    for field in ("MaxConcurrencyPath", "ToleratedFailureCountPath"):
        yield field, flow(Map={**base, "ItemsPath": "$.items", field: "$.a"})
    percentage = {"ItemsPath": "$.items", "ToleratedFailurePercentagePath": "$.a"}
    yield "ToleratedFailurePercentagePath", flow(Map={**base, **percentage})
    failing = flow(Item={"Type": "Fail", "ErrorPath": "$"})
    yield (
        "Map that fails",
        flow(
            Map={**base, "ItemProcessor": failing, "Retry": [again], "Catch": [caught]}, Caught=end
        ),
    )
    yield (
        "Parallel",
        flow(
            Both={
                "Type": "Parallel",
                "Branches": [item, flow(One={"Type": "Pass", "InputPath": "$.a", "End": True})],
                "Parameters": {"both.$": "$"},
                "ResultSelector": {"first.$": "$[0]", "second.$": "$[1].a"},
                "Catch": [caught],
                "End": True,
            },
            Caught=end,
        ),
    )


_ENTRY: Definition = {"EventBusName": "${Bus}", "Source": "shop", "DetailType": "x"}
REQUESTS: Mapping[str, tuple[Definition | None, ...]] = {
    "lambda": (None, {"x.$": "$"}),
    "lambda:invoke": (
        None,
        {"FunctionName.$": "$"},
        {"FunctionName": "${Step}", "Payload.$": "$"},
        {"FunctionName": "${Step}", "InvocationType.$": "$", "Qualifier.$": "$"},
    ),
    "sqs:sendMessage": (
        None,
        {"QueueUrl.$": "$", "MessageBody": "x"},
        {"QueueUrl": "${Letters}", "MessageBody.$": "$"},
        {"QueueUrl": "${Letters}", "MessageBody": "x", "DelaySeconds.$": "$"},
    ),
    "events:putEvents": (
        None,
        {"Entries.$": "$"},
        {"Entries.$": "States.Array($)"},
        *(
            {"Entries": [_ENTRY | fields]}
            for fields in (
                {"Detail.$": "$"},
                {"Detail": {"x.$": "$"}},
                {"Detail": "{}", "DetailType.$": "$"},
                {"Detail": "{}", "Source.$": "$"},
                {"Detail": "{}", "EventBusName.$": "$"},
                {"Detail": "{}", "Resources.$": "$"},
                {"Detail": "{}", "Resources.$": "States.Array($)"},
                {"Detail": "{}", "Time.$": "$"},
            )
        ),
    ),
    "states:startExecution": (
        None,
        {"StateMachineArn.$": "$"},
        {"StateMachineArn": "${Leaf}", "Input.$": "$"},
        {"StateMachineArn": "${Leaf}", "Name.$": "$"},
    ),
}
"""The requests to each integration, with the input in each field; None is the input alone."""


def _tasks() -> Iterator[tuple[str, Definition]]:
    """Yield a Task for each request, and for each field that may have a path."""
    caught = {"ErrorEquals": ["States.TaskFailed"], "ResultPath": "$.caught", "Next": "Caught"}
    for integration, requests in REQUESTS.items():
        own = integration == "lambda"
        resource = "${Step}" if own else f"arn:aws:states:::{integration}"
        for number, request in enumerate(requests):
            fields = {} if request is None else {"Parameters": request}
            yield (
                f"{integration} {number}",
                flow(
                    Task=task(resource, **fields, ResultPath="$.a", Catch=[caught]),
                    Caught={"Type": "Pass", "End": True},
                ),
            )
    for field in ("TimeoutSecondsPath", "HeartbeatSecondsPath"):
        yield field, flow(Task=task(**{field: "$.a"}))
    yield "ResultSelector", flow(Task=task(ResultSelector={"x.$": "$", "y.$": "$.a"}))


def definitions() -> dict[str, Definition]:
    """Return all definitions by the feature that they use."""
    passes = {
        name: flow(Pass={"Type": "Pass", **fields, "End": True}) for name, fields in _passes()
    }
    return {**passes, "Choice": choices(), **dict(_others()), **dict(_tasks())}


DEFINITIONS = definitions()
LEAF = flow(Pass={"Type": "Pass", "End": True})


def state_machine_name(number: int) -> str:
    """Return the name of the state machine of a definition, by its index."""
    return f"fuzz-{number}"


def template() -> tuple[str, dict[str, Definition]]:
    """Return the small template with a state machine for each definition, and their files."""
    files = {"leaf": LEAF}
    resources: dict[str, Any] = {}
    substitutions = {
        "Step": "!GetAtt Step.Arn",
        "Letters": "!Ref Untouched",
        "Bus": "!Ref Bus",
        "Leaf": "!Ref Leaf",
    }
    for number, definition in enumerate(DEFINITIONS.values()):
        files[f"fuzz_{number}"] = definition
        text = yaml.safe_dump(definition)
        used = {name: ref for name, ref in substitutions.items() if f"${{{name}}}" in text}
        resources[f"Fuzz{number}"] = _resource(state_machine_name(number), f"fuzz_{number}", used)
    resources["Leaf"] = _resource("leaf", "leaf", {})
    lines = yaml.safe_dump(resources).replace("'!", "!").replace("Arn'", "Arn").replace("'\n", "\n")
    indented = "".join(f"  {line}\n" for line in lines.splitlines())
    return TEMPLATE + indented, files


def _resource(name: str, file: str, substitutions: Mapping[str, str]) -> Definition:
    properties: Definition = {"Name": name, "Type": "STANDARD", "DefinitionUri": f"{file}.asl.yaml"}
    if substitutions:
        properties["DefinitionSubstitutions"] = dict(substitutions)
    return {"Type": "AWS::Serverless::StateMachine", "Properties": properties}


assert REQUESTS.keys() == PARAMETERS.keys(), "an integration has no request here"
