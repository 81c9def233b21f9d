"""The context object of an execution, as the interpreter gets it."""

from infra.asl import compile_definition
from infra.local.engine.execution_rows import context_of
from infra.local.template.stack import StateMachine

DEFINITION = {"StartAt": "S", "States": {"S": {"Type": "Pass", "InputPath": "$$", "End": True}}}


def test_the_context_object_is_read_whole_with_every_field_of_aws() -> None:
    machine = compile_definition(DEFINITION, name="m")
    arn = "arn:aws:states:us-east-1:000000000000:stateMachine:m"
    described = StateMachine("m", arn, "STANDARD", machine, "")
    context = context_of(described, 1, "one", {"a": 1}, 0.0)
    execution, _ = machine.start({"a": 1}, context, 60.0)
    assert execution.output == {
        "Execution": {
            "Id": "arn:aws:states:us-east-1:000000000000:execution:m:one",
            "Input": {"a": 1},
            "Name": "one",
            "RedriveCount": 0,
            "RoleArn": "arn:aws:iam::000000000000:role/m",
            "StartTime": "1970-01-01T00:00:00.000Z",
        },
        "StateMachine": {"Id": arn, "Name": "m"},
        "State": {"EnteredTime": "1970-01-01T00:01:00.000Z", "Name": "S"},
    }
