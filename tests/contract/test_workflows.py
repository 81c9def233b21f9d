"""The workflows always end, name existing errors, and fit the timeouts of the template."""

from collections.abc import Iterator, Mapping
from inspect import getmembers, isclass
from typing import Any

import pytest
import yaml
from cfnlint.decode import cfn_yaml

from infra.local.template.loader import Template
from infra.queries.athena import TEMPLATE
from kernel import errors

STACK = Template(TEMPLATE, {}, lambda *_: {})
FUNCTIONS = dict(STACK.of_type("AWS::Serverless::Function"))
MACHINES = dict(STACK.of_type("AWS::Serverless::StateMachine"))
ROLES = dict(STACK.of_type("AWS::IAM::Role"))
PARAMETERS: Mapping[str, Any] = cfn_yaml.load(str(TEMPLATE))["Parameters"]

OUR_ERRORS = {
    name for name, one in getmembers(errors, isclass) if issubclass(one, errors.OrderflowError)
}
AWS_ERRORS = {
    "States.ALL",
    "States.TaskFailed",
    "States.Timeout",
    "Lambda.AWSLambdaException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.CodeArtifactUserPendingException",
    "Lambda.SdkClientException",
    "Lambda.ServiceException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
    "Runtime.ExitError",
    "Sandbox.Timedout",
    "StepFunctions.ExecutionAlreadyExistsException",
}
"""The used ones of Step Functions' error names and Lambda's service exceptions."""

State = Mapping[str, Any]


def definition(machine: str) -> Mapping[str, Any]:
    path = TEMPLATE.parent / MACHINES[machine]["DefinitionUri"]
    loaded: Mapping[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def states(scope: Mapping[str, Any]) -> Iterator[tuple[str, State]]:
    for name, state in scope["States"].items():
        yield name, state
        for branch in state.get("Branches", ()):
            yield from states(branch)


STATES = {
    name: (machine, state) for machine in MACHINES for name, state in states(definition(machine))
}
TASKS = [name for name, (_, state) in STATES.items() if state["Type"] == "Task"]


def function_of(task: str) -> str | None:
    """Return the function that a task calls."""
    machine, state = STATES[task]
    mark = state["Parameters"].get("FunctionName", "").removeprefix("${").removesuffix("}")
    if not mark:
        return None
    reference: str = MACHINES[machine]["DefinitionSubstitutions"][mark]["Ref"]
    return reference.removesuffix(".Alias")


@pytest.mark.parametrize("state", STATES)
def test_every_state_has_a_comment(state: str) -> None:
    assert STATES[state][1]["Comment"].endswith(".")


@pytest.mark.parametrize("task", TASKS)
def test_a_task_has_a_timeout_retries_and_a_last_catch(task: str) -> None:
    _, state = STATES[task]
    if "TimeoutSecondsPath" not in state:
        assert state["TimeoutSeconds"] > 0
    assert state["Retry"]
    assert state["Catch"][-1]["ErrorEquals"] == ["States.ALL"]


@pytest.mark.parametrize("task", TASKS)
def test_the_errors_of_a_task_exist(task: str) -> None:
    _, state = STATES[task]
    named = {
        error
        for field in ("Retry", "Catch")
        for one in state[field]
        for error in one["ErrorEquals"]
    }
    assert named <= OUR_ERRORS | AWS_ERRORS


@pytest.mark.parametrize("machine", MACHINES)
def test_the_errors_of_a_choice_exist(machine: str) -> None:
    for _, state in states(definition(machine)):
        for comparison in comparisons(state.get("Choices", ())):
            if comparison["Variable"].endswith(".Error") and "StringEquals" in comparison:
                assert comparison["StringEquals"] in OUR_ERRORS


def comparisons(choices: Any) -> Iterator[Mapping[str, Any]]:
    for choice in choices:
        for several in ("And", "Or"):
            yield from comparisons(choice.get(several, ()))
        if "Variable" in choice:
            yield choice


COLD_START = 5
"""Seconds that a task leaves for an init phase, which Lambda does not count into Timeout."""

TRANSIENT = {
    "StoreError",
    "VersionConflict",
    "Lambda.AWSLambdaException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.CodeArtifactUserPendingException",
    "Lambda.SdkClientException",
    "Lambda.ServiceException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
    "Runtime.ExitError",
}
"""Errors that pass: Step Functions, "Handle Lambda service exceptions"; Lambda, Invoke, Errors."""

SLOW = {"States.Timeout", "Sandbox.Timedout"}
"""A call took too long, by the clock of Step Functions or by Lambda's."""


@pytest.mark.parametrize("task", TASKS)
def test_a_task_leaves_room_for_a_cold_start(task: str) -> None:
    function = function_of(task)
    if function is not None:
        timeout = FUNCTIONS[function]["Timeout"] + COLD_START
        assert STATES[task][1]["TimeoutSeconds"] == timeout


@pytest.mark.parametrize("task", TASKS)
def test_a_task_retries_what_passes_with_jitter(task: str) -> None:
    _, state = STATES[task]
    for retrier in state["Retry"]:
        assert retrier["JitterStrategy"] == "FULL"
    if function_of(task) is not None:
        retried = [set(retrier["ErrorEquals"]) for retrier in state["Retry"]]
        assert TRANSIENT in retried
        assert SLOW in retried


def waits(state: State) -> float:
    """Return the longest waits between a task's calls, of all its retriers together."""
    return sum(
        min(
            float(retrier["IntervalSeconds"]) * float(retrier["BackoffRate"]) ** attempt,
            float(retrier.get("MaxDelaySeconds", 1e9)),
        )
        for retrier in state["Retry"]
        for attempt in range(retrier["MaxAttempts"])
    )


def test_a_run_that_waits_at_each_step_and_pauses_at_its_last_ends_in_time() -> None:
    """A call's timeout counts once a task: most errors of Lambda come at once."""
    taken = 0.0
    for name in ("ValidateOrder", "CheckInventory", "ProcessPayment", "OrderCompleted",
                 "PauseOrder", "ScheduleRecovery"):  # fmt: skip
        _, state = STATES[name]
        taken += state["TimeoutSeconds"] + waits(state)
    taken += max(
        STATES[name][1]["TimeoutSeconds"] + waits(STATES[name][1])
        for name in ("SendConfirmation", "UpdateInventory", "CreateShipment")
    )
    assert taken <= definition("OrderProcessing")["TimeoutSeconds"]


def test_a_lease_outlives_a_run_and_its_longest_function() -> None:
    called = {name for name in map(function_of, TASKS) if name}
    longest = max(FUNCTIONS[name]["Timeout"] for name in called)
    run = definition("OrderProcessing")["TimeoutSeconds"]
    assert PARAMETERS["LeaseSeconds"]["MinValue"] > run + longest


def test_a_recovery_outlives_the_longest_wait() -> None:
    longest = PARAMETERS["RecoveryDelaySeconds"]["MaxValue"]
    assert definition("OrderRecovery")["TimeoutSeconds"] > longest


@pytest.mark.parametrize("machine", MACHINES)
def test_a_workflows_role_allows_its_calls_only(machine: str) -> None:
    substitutions = MACHINES[machine]["DefinitionSubstitutions"].values()
    [steps] = [one for one in ROLES[f"{machine}Role"]["Policies"] if one["PolicyName"] == "steps"]
    allowed = [
        resource
        for statement in steps["PolicyDocument"]["Statement"]
        for resource in (
            statement["Resource"]
            if isinstance(statement["Resource"], list)
            else [statement["Resource"]]
        )
    ]
    assert sorted(map(logical_id, allowed)) == sorted(map(logical_id, substitutions))


def logical_id(reference: Mapping[str, Any]) -> str:
    """Return the logical id in a reference; of a `!Sub`, its text."""
    found = reference.get("Ref") or reference.get("Fn::GetAtt")
    if found is None:
        text = reference["Fn::Sub"]
        return str(text if isinstance(text, str) else text[0]).partition(":live-")[0]
    return found.removesuffix(".Alias") if isinstance(found, str) else str(found[0])
