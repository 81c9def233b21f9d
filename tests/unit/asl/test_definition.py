"""Invalid definitions are refused at load time, with the place and the problem."""

from typing import Any

import pytest

from infra.asl import DefinitionError, compile_definition
from infra.asl.states.task import may_read_metadata

PASS: dict[str, Any] = {"Type": "Pass", "End": True}
TASK: dict[str, Any] = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke",
    "Parameters": {"FunctionName": "f"},
    "End": True,
}
SCHEMA = "SCHEMA_VALIDATION_FAILED: "
UNIQUE = "A state name must be unique and have from 1 to 80 characters"
NESTED = {"StartAt": "N", "States": {"N": PASS}}


INTEGRATIONS = {
    "lambda": None,
    "lambda:invoke": {"FunctionName": None, "InvocationType": ("RequestResponse",)},
}


def refusal(definition: Any, **options: Any) -> DefinitionError:
    with pytest.raises(DefinitionError) as refused:
        compile_definition(definition, name="refused", **options)
    return refused.value


def refusal_of_state(state: Any, **options: Any) -> DefinitionError:
    return refusal({"StartAt": "S", "States": {"S": state}}, **options)


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        (" ", SCHEMA + "Expected value of type Object at /"),
        ({}, SCHEMA + "The field 'StartAt' is required but was missing at /"),
        (
            {"StartAt": "S"},
            SCHEMA + "The field 'States' is required but was missing at /",
        ),
        (
            {"StartAt": "S", "States": {}},
            SCHEMA + "The value must not be empty at /States",
        ),
        (
            {"Version": "2.0", "StartAt": "S", "States": {"S": PASS}},
            SCHEMA + "Value is not one of 1.0 at /Version",
        ),
        (
            {"StartAt": "X", "States": {"S": PASS}},
            "MISSING_TRANSITION_TARGET: Missing 'StartAt' target: X at /StartAt",
        ),
        (
            {"StartAt": "S", "States": {"S": {"Type": "Pass", "Next": "X"}}},
            "MISSING_TRANSITION_TARGET: Missing 'Next' target: X at /States/S/Next",
        ),
        (
            {"StartAt": "S", "States": {"S": PASS, "T": PASS}},
            'MISSING_TRANSITION_TARGET: State "T" is not reachable. at /States/T',
        ),
        (
            {"StartAt": "S", "States": {"S": PASS}, "QueryLanguage": "SQL"},
            SCHEMA + "Value is not one of JSONPath, JSONata at /QueryLanguage",
        ),
        (
            {"StartAt": "S", "States": {"S": PASS}, "TimeoutSeconds": 0},
            SCHEMA + "The value must be from 1 to 99999999 at /TimeoutSeconds",
        ),
        (
            {"StartAt": "S", "States": {"S": PASS}, "Name": "n"},
            SCHEMA + "Field 'Name' is not supported at /",
        ),
        (
            {
                "StartAt": "S",
                "States": {
                    "S": {
                        "Type": "Map",
                        "ItemProcessor": {"StartAt": "S", "States": {"S": PASS}},
                        "End": True,
                    }
                },
            },
            SCHEMA + UNIQUE + " at /States/S/ItemProcessor/States/S",
        ),
    ],
)
def test_a_malformed_machine(definition: Any, message: str) -> None:
    assert str(refusal(definition)) == message


def not_(levels: int) -> Any:
    """Return a definition with a rule negated as often as needed for ``levels`` levels."""
    rule: dict[str, Any] = {"Variable": "$.a", "IsPresent": True}
    for _ in range(levels - 5):
        rule = {"Not": rule}
    choice = {"Type": "Choice", "Choices": [{**rule, "Next": "T"}], "Default": "T"}
    return {"StartAt": "S", "States": {"S": choice, "T": {"Type": "Succeed"}}}


def test_a_definition_has_at_most_1_000_levels() -> None:
    compile_definition(not_(1_000), name="deep")
    deeper = SCHEMA + "The definition is nested deeper than 1000 levels at /"
    assert str(refusal(not_(1_001))) == str(refusal(not_(100_000))) == deeper
    held: dict[str, Any] = {"StartAt": "S"}
    held["States"] = {"S": {**PASS, "Result": held}}  # as with a YAML alias
    assert str(refusal(held)) == deeper


@pytest.mark.parametrize(
    ("state", "place", "problem"),
    [
        ({"Type": "Dance", "End": True}, "/Type", "Value is not one of Choice, Fail, Map"),
        ({"Type": "Pass"}, "", "either the field 'Next' or the field 'End'"),
        ({**PASS, "Next": "S"}, "", "either the field 'Next' or the field 'End'"),
        ({**PASS, "Seconds": 5}, "", "Field 'Seconds' is not supported"),
        ({**PASS, "ResultSelector": {}}, "", "Field 'ResultSelector' is not supported"),
        ({**PASS, "Comment": 5}, "/Comment", "Expected value of type String"),
        (
            {**TASK, "Retry": [{"ErrorEquals": ["A", 5]}]},
            "/Retry[0]/ErrorEquals[1]",
            "Expected value of type String",
        ),
        (
            {**TASK, "HeartbeatSeconds": 10, "TimeoutSeconds": 10},
            "/HeartbeatSeconds",
            "The value must be less than TimeoutSeconds",
        ),
        (
            {**PASS, "QueryLanguage": "SQL"},
            "/QueryLanguage",
            "Value is not one of JSONPath, JSONata",
        ),
        ({**PASS, "InputPath": "x"}, "/InputPath", "it must start with '$'"),
        ({**PASS, "ResultPath": "$.a[*]"}, "/ResultPath", "Value is not a Reference Path"),
        (
            {**PASS, "ResultPath": "$" + ".a" * 1_001},
            "/ResultPath",
            "it leads through more than 1000 levels",
        ),
        (
            {**PASS, "Parameters": {"a": {"b.$": "c"}}},
            "/Parameters/a",
            "The value for the field 'b.$' must be a valid JSONPath or a valid intrinsic function",
        ),
        (
            {**PASS, "Parameters": {"b.$": 5}},
            "/Parameters",
            "The value for the field 'b.$' must be a valid JSONPath",
        ),
        ({**PASS, "Assign": [1]}, "/Assign", "Expected value of type Object"),
        (
            {"Type": "Wait", "End": True},
            "",
            "One of Seconds, SecondsPath, Timestamp, TimestampPath is required",
        ),
        (
            {"Type": "Wait", "Seconds": 1, "Timestamp": "x", "End": True},
            "",
            "cannot specify both 'Seconds' and",
        ),
        (
            {"Type": "Wait", "Seconds": "1", "End": True},
            "/Seconds",
            "Expected value of type Number",
        ),
        (
            {"Type": "Wait", "Timestamp": "noon", "End": True},
            "/Timestamp",
            "String does not match RFC3339 timestamp",
        ),
        ({"Type": "Choice"}, "", "The field 'Choices' is required but was missing"),
        (
            {"Type": "Choice", "Choices": [{"Variable": "$", "IsNull": True}]},
            "/Choices[0]",
            "The field 'Next' is",
        ),
        ({"Type": "Succeed", "End": True}, "", "Field 'End' is not supported"),
        (
            {"Type": "Fail", "Error": "E", "ErrorPath": "$.e"},
            "",
            "cannot specify both 'Error' and 'ErrorPath'",
        ),
        ({"Type": "Fail", "CausePath": "cause"}, "", "The value for the field 'CausePath' must be"),
        (
            {"Type": "Parallel", "Branches": [], "End": True},
            "/Branches",
            "The value must not be empty",
        ),
        (
            {
                "Type": "Parallel",
                "Branches": [{"StartAt": "X", "States": {"N": PASS}}],
                "End": True,
            },
            "/Branches[0]/StartAt",
            "Missing 'StartAt' target: X",
        ),
        ({"Type": "Map", "End": True}, "", "The field 'ItemProcessor' is required"),
        (
            {
                "Type": "Map",
                "ItemProcessor": {**NESTED, "ProcessorConfig": {"Mode": "DISTRIBUTED"}},
                "End": True,
            },
            "/ItemProcessor/ProcessorConfig/Mode",
            "A distributed Map is not supported",
        ),
        (
            {"Type": "Map", "ItemProcessor": NESTED, "ItemReader": {}, "End": True},
            "/ItemReader",
            "distributed Map",
        ),
        (
            {"Type": "Map", "ItemProcessor": NESTED, "MaxConcurrency": -1, "End": True},
            "/MaxConcurrency",
            "from 0 to",
        ),
        ({**TASK, "Retry": [{}]}, "/Retry[0]", "The field 'ErrorEquals' is required"),
        (
            {**TASK, "Retry": [{"ErrorEquals": ["E"], "BackoffRate": 0.5}]},
            "/Retry[0]/BackoffRate",
            "from 1 to",
        ),
        (
            {**TASK, "Retry": [{"ErrorEquals": ["E"], "JitterStrategy": "HALF"}]},
            "/Retry[0]/JitterStrategy",
            "FULL",
        ),
        (
            {**TASK, "Retry": [{"ErrorEquals": ["States.ALL", "E"]}]},
            "/Retry[0]/ErrorEquals",
            "must stand alone",
        ),
        (
            {**TASK, "Retry": [{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["E"]}]},
            "/Retry[0]/ErrorEquals",
            "must appear in the last entry of 'Retry'",
        ),
        (
            {
                **TASK,
                "Catch": [
                    {"ErrorEquals": ["States.ALL"], "Next": "S"},
                    {"ErrorEquals": ["E"], "Next": "S"},
                ],
            },
            "/Catch[0]/ErrorEquals",
            "must appear in the last entry of 'Catch'",
        ),
        (
            {**TASK, "Catch": [{"ErrorEquals": ["E"], "Next": "X"}]},
            "/Catch[0]/Next",
            "Missing 'Next' target: X",
        ),
        (
            {**TASK, "Catch": [{"ErrorEquals": ["E"], "Next": "S", "Retry": 1}]},
            "/Catch[0]",
            "'Retry' is not supported",
        ),
        ({**TASK, "TimeoutSeconds": 1, "TimeoutSecondsPath": "$.t"}, "", "cannot specify both"),
        ({**TASK, "Credentials": {}}, "/Credentials", "The value must not be empty"),
        (
            {**TASK, "Resource": "arn:aws:states:::dynamodb:query"},
            "/Resource",
            "The resource provided arn:aws:states:::dynamodb:query is not recognized.",
        ),
        (
            {**TASK, "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken"},
            "/Resource",
            "is not recognized.",
        ),
        (
            {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "Parameters": {"FunctionName": "f", "ClientContext.$": "$.c"},
                "End": True,
            },
            "/Parameters/ClientContext.$",
            "The parameter 'ClientContext' of lambda:invoke is not supported; supported are ",
        ),
        (
            {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "Parameters": {"FunctionName": "f", "InvocationType": "Event"},
                "End": True,
            },
            "/Parameters/InvocationType",
            "must be RequestResponse",
        ),
        ("text", "", "Expected value of type Object"),
    ],
)
def test_a_malformed_state(state: Any, place: str, problem: str) -> None:
    refused = refusal_of_state(state, integrations=INTEGRATIONS)
    assert refused.place == f"/States/S{place}"
    assert problem in refused.problem


def test_only_available_integrations_may_be_called() -> None:
    assert refusal_of_state(TASK, integrations={"sqs:sendMessage"}).place == "/States/S/Resource"
    task = {**TASK, "Resource": "arn:aws-cn:states:::sqs:sendMessage"}
    compile_definition(
        {"StartAt": "S", "States": {"S": task}}, name="cn", integrations={"sqs:sendMessage"}
    )


def test_an_express_workflow_cannot_wait_for_a_callback() -> None:
    task = {**TASK, "Resource": "arn:aws:states:::states:startExecution.sync:2"}
    problem = "Express state machine does not support '.sync:2' service integration"
    assert refusal_of_state(task, express=True).problem == problem


def test_comments_are_allowed_anywhere() -> None:
    comment = {"Comment": "why"}
    states = {
        "T": {
            **TASK,
            **comment,
            "Retry": [{"ErrorEquals": ["E"], **comment}],
            "Catch": [{"ErrorEquals": ["E"], "Next": "M", **comment}],
        },
        "M": {
            "Type": "Map",
            "End": True,
            **comment,
            "ItemProcessor": {**NESTED, **comment, "ProcessorConfig": {"Mode": "INLINE"}},
        },
    }
    compile_definition(
        {"StartAt": "T", "States": states, "Version": "1.0", **comment}, name="comments"
    )


def test_a_definition_that_is_not_json_is_named_so() -> None:
    with pytest.raises(DefinitionError, match="INVALID_JSON_DESCRIPTION: It is not JSON"):
        compile_definition('{"StartAt":', name="m")


@pytest.mark.parametrize(
    ("state", "reads"),
    [
        ({"ResultPath": None}, False),
        ({"ResultSelector": {"a.$": "$.Payload.a"}}, False),
        ({"ResultSelector": {"a.$": "States.Format('{}', $.Payload)"}}, False),
        ({"ResultSelector": {"a.$": "$.Payload.a", "b.$": "$$.State.Name"}}, False),
        ({}, True),
        ({"ResultPath": "$.r"}, True),
        ({"ResultSelector": {"a.$": "$"}}, True),
        ({"ResultSelector": {"a.$": "$.SdkHttpMetadata"}}, True),
        ({"ResultSelector": {"a.$": "$..Date"}}, True),
        ({"ResultPath": None, "Assign": {"a.$": "$.SdkResponseMetadata"}}, True),
        ({"Arguments": {}, "Output": "{% $states.result %}"}, True),
    ],
)
def test_metadata_are_made_if_an_expression_may_read_them(
    *, state: dict[str, Any], reads: bool
) -> None:
    assert may_read_metadata(state) is reads


@pytest.mark.parametrize(
    "fields",
    [
        {"HeartbeatSeconds": 9, "TimeoutSeconds": 10},
        {"HeartbeatSeconds": 10},
        {"HeartbeatSecondsPath": "$.a", "TimeoutSeconds": 1},
        {"HeartbeatSeconds": 10, "TimeoutSecondsPath": "$.a"},
    ],
)
def test_a_heartbeat_before_the_timeout_or_of_unknown_seconds_is_accepted(
    fields: dict[str, Any],
) -> None:
    definition = {"Version": "1.0", "StartAt": "S", "States": {"S": {**TASK, **fields}}}
    compile_definition(definition, name="accepted")
