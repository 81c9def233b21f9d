"""TestState: one state with an input and a given answer, and each step of its data flow.

Source: TestState and InspectionData in the AWS Step Functions API Reference; the answers in "Using
TestState API to test a state" in its Developer Guide.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from infra.asl.definition import compile_definition
from infra.asl.effects import Ended, RunTask, SetTimer, Signal, TaskFailed, TaskSucceeded
from infra.asl.effects import TimerFired as Fired
from infra.asl.errors import AslError, DefinitionError, StateFailure
from infra.asl.execution import Execution
from infra.asl.expressions.values import JSON, format_timestamp
from infra.asl.fields import Fields
from infra.asl.interpreter import Advance
from infra.asl.states.state import State

CALLS = ("Task", "Parallel", "Map")
"""The states that need an answer."""

_FILTERED = ("Task", "Pass", "Map")
"""The states whose step ``afterInputPath`` AWS tells without an InputPath too."""

_CAUGHT = "\x00caught "
_FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:tested"


class MissingAnswer(AslError):
    """The state calls something, and no answer was given."""


@dataclass
class StateRun:
    """The result of a state: ``status`` is SUCCEEDED, FAILED, CAUGHT_ERROR or RETRIABLE."""

    status: str
    output: JSON = None
    next_state: str | None = None
    error: str | None = None
    cause: str | None = None
    variables: Mapping[str, JSON] = field(default_factory=dict)
    retry_seconds: float | None = None
    handler: int | None = None
    """The index of the retrier or the catcher that takes the error."""
    steps: dict[str, JSON] = field(default_factory=dict)
    """Each step of the data flow, by AWS's name: ``input``, ``afterInputPath`` …"""


@dataclass(frozen=True)
class Given:
    """The answer of a state's call: a result, or an error with a cause."""

    result: JSON = None
    error: str | None = None
    cause: str = ""


def run_state(  # noqa: PLR0913 - the fields of the operation
    name: str,
    state: JSON,
    data: JSON,
    *,
    given: Given | None = None,
    context: Mapping[str, JSON] | None = None,
    variables: Mapping[str, JSON] | None = None,
    language: str = "JSONPath",
    retries: int = 0,
    now: float = 0.0,
    integrations: Collection[str] | None = None,
) -> StateRun:
    """Run one state.

    Parameters
    ----------
    given
        The answer of a Task, Parallel or Map.
    retries
        The number of earlier attempts, all by the first retrier.

    Raises
    ------
    DefinitionError
        The state is invalid.
    MissingAnswer
        It calls something, and ``given`` is None.
    """
    if not isinstance(state, Mapping):
        raise DefinitionError("", "Expected value of type Object")
    if state.get("Type") in CALLS and given is None:
        raise MissingAnswer(
            f"the state {name} is a {state['Type']}: give the result or the error of its call"
        )
    machine = compile_definition(
        _definition(name, state, language), name="test", integrations=integrations
    )
    about = {"Execution": {"Input": data}, "StateMachine": {}, **(context or {})}
    execution = Execution(machine, about)
    execution.root.variables = dict(variables or {})
    advance = Advance(execution, now)
    advance.begin(data)
    effects = advance.run()
    for effect in effects:
        if isinstance(effect, (RunTask, SetTimer)) and effect.token:
            execution.root.attempts = [retries, *execution.root.attempts[1:]]
            effects = machine.advance(execution, _signal(effect, given), now)
            break
    result = _result(execution, effects, now)
    result.handler = _handler(machine.table.states[name], result)
    result.steps = {"input": data, **_steps(state, language, data, given, execution, about, now)}
    return result


def _definition(name: str, state: Mapping[str, Any], language: str) -> JSON:
    """Return a state machine of the state alone, whose targets are ends.

    A Parallel or a Map becomes a Task, since its result is given.
    """
    alone = dict(state)
    if alone.get("Type") in ("Parallel", "Map"):
        for own in ("Branches", "ItemProcessor", "Iterator", "ItemSelector", "Items", "ItemsPath"):
            alone.pop(own, None)
        for own in ("MaxConcurrency", "ToleratedFailureCount", "ToleratedFailurePercentage"):
            alone.pop(own, None)
            alone.pop(f"{own}Path", None)
        if state["Type"] == "Map":
            alone.pop("Parameters", None)
        alone |= {"Type": "Task", "Resource": _FUNCTION}
    if "Catch" in alone and isinstance(alone["Catch"], list):
        alone["Catch"] = [
            {**each, "Next": _CAUGHT + str(each["Next"])}
            if isinstance(each, Mapping) and "Next" in each
            else each
            for each in alone["Catch"]
        ]
    targets = {str(each["Next"]) for each in _entries(alone) if "Next" in each}
    targets |= {str(alone[end]) for end in ("Next", "Default") if end in alone}
    ends = {target: {"Type": "Succeed"} for target in sorted(targets - {name})}
    return {"QueryLanguage": language, "StartAt": name, "States": {name: alone, **ends}}


def _entries(state: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    lists = (state.get(each) for each in ("Choices", "Catch"))
    found = [each for entries in lists if isinstance(entries, list) for each in entries]
    return [each for each in found if isinstance(each, Mapping)]


def _signal(effect: RunTask | SetTimer, given: Given | None) -> Signal:
    if isinstance(effect, SetTimer) or given is None:
        return Fired(effect.token)
    if given.error is not None:
        return TaskFailed(effect.token, given.error, given.cause)
    return TaskSucceeded(effect.token, given.result)


def _result(execution: Execution, effects: list[Any], now: float) -> StateRun:
    """Return the result from the history: the state's exit, or its failure."""
    failure = next((event.details for event in execution.history if event.details.get("error")), {})
    for event in execution.history:
        if event.type.endswith("StateExited"):
            entered = [
                each.details["name"]
                for each in execution.history
                if each.type.endswith("StateEntered")
            ]
            following = entered[1] if len(entered) > 1 else None
            caught = bool(following and following.startswith(_CAUGHT))
            target = following.removeprefix(_CAUGHT) if following else None
            result = StateRun("CAUGHT_ERROR" if caught else "SUCCEEDED", event.details["output"])
            result.next_state = target
            result.variables = event.details.get("assignedVariables", {})
            if caught:
                result.error, result.cause = failure.get("error"), failure.get("cause")
            return result
    timer = next((effect for effect in effects if isinstance(effect, SetTimer)), None)
    if timer is not None:
        result = StateRun("RETRIABLE", retry_seconds=timer.due - now)
        result.error, result.cause = failure.get("error"), failure.get("cause")
        return result
    ended = next(effect for effect in effects if isinstance(effect, Ended))
    return StateRun("FAILED", error=ended.error, cause=ended.cause)


def _handler(state: State, result: StateRun) -> int | None:
    """Return the index of the retrier or the catcher of a result; None if there is none."""
    handlers = {"RETRIABLE": state.retriers or (), "CAUGHT_ERROR": state.catchers}
    failure = StateFailure(result.error, result.cause)
    found = handlers.get(result.status, ())
    return next((at for at, each in enumerate(found) if each.matches(failure)), None)


def _steps(  # noqa: PLR0913, PLR0917 - the parts of one data flow
    state: Mapping[str, Any],
    language: str,
    data: JSON,
    given: Given | None,
    execution: Execution,
    about: Mapping[str, JSON],
    now: float,
) -> dict[str, JSON]:
    """Return the steps up to the first that fails."""
    steps: dict[str, JSON] = {}
    fields = Fields(state, "", [], language)
    entered = {"Name": execution.root.state.name, "EnteredTime": format_timestamp(now)}
    scope: Any = SimpleNamespace(
        variables=execution.root.variables,
        context={**about, "State": entered},
        random=execution.machine.random,
        now=now,
    )
    with suppress(AslError):
        add = _add_query_steps if fields.is_jsonata else _add_path_steps
        add(steps, fields, data, given, scope)
    return steps


def _add_query_steps(
    steps: dict[str, JSON], fields: Fields, data: JSON, given: Given | None, scope: Any
) -> None:
    """Add the steps of a JSONata state."""
    if fields.value.get("Type") == "Map":
        _add_items(steps, fields, data, scope)
    elif arguments := fields.arguments():
        steps["afterArguments"] = arguments(data, scope)
    if given is not None and given.error is None:
        steps["result"] = given.result


def _add_path_steps(
    steps: dict[str, JSON], fields: Fields, data: JSON, given: Given | None, scope: Any
) -> None:
    """Add the steps of a JSONPath state."""
    kind = fields.value.get("Type")
    raw = data
    data = fields.path("InputPath")(data, scope)
    if kind in _FILTERED or "InputPath" in fields:
        steps["afterInputPath"] = data
    parameters = fields.arguments() if kind != "Map" else None
    if parameters:
        data = parameters(data, scope)
    if kind == "Map":
        _add_items(steps, fields, data, scope)
    if parameters or (kind in ("Task", "Pass") and "Result" not in fields):
        steps["afterParameters"] = data
    if (given is not None and given.error is not None) or kind not in (*CALLS, "Pass"):
        return
    result = given.result if given else fields.value.get("Result", data)
    if kind == "Task" or "Result" in fields:
        steps["result"] = result
    select = fields.template("ResultSelector", dict)
    steps["afterResultSelector"] = result = select(result, scope) if select else result
    steps["afterResultPath"] = fields.result_path()(raw, result)


NUMBERS = ("maxConcurrency", "toleratedFailureCount", "toleratedFailurePercentage")
"""The steps of a Map that are numbers, by its fields' names with a lower first letter."""


def _add_items(steps: dict[str, JSON], fields: Fields, data: JSON, scope: Any) -> None:
    """Add the items of a Map, each as its selector has it, and its limits."""
    items = data
    if fields.is_jsonata:
        query = fields.query("Items")
        items = query({"input": data}, scope) if query else data
    elif "ItemsPath" in fields:
        steps["afterItemsPath"] = items = fields.path("ItemsPath")(data, scope)
    selector = fields.one_of("ItemSelector", *(() if fields.is_jsonata else ("Parameters",)))
    if selector and (select := fields.template(selector)) and isinstance(items, list):
        steps["afterItemSelector"] = [
            select(data, _item_scope(scope, index, item)) for index, item in enumerate(items)
        ]
    for name in NUMBERS:
        field = name[0].upper() + name[1:]
        if {field, f"{field}Path"} & fields.value.keys():
            kinds = (int, float) if name.endswith("Percentage") else (int,)
            bounds = (0, float("inf"))
            steps[name] = fields.setting(field, None, bounds, kinds)(data, scope)


def _item_scope(scope: Any, index: int, item: JSON) -> Any:
    """Return the scope of a Map's selector for an item."""
    context = {**scope.context, "Map": {"Item": {"Index": index, "Value": item}}}
    return SimpleNamespace(**{**vars(scope), "context": context})
