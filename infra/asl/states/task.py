"""Task: the host calls a Lambda function or a service, and the state takes its answer."""

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from infra.asl import task_tokens
from infra.asl.effects import CancelTask, Signal, TaskFailed, TaskSucceeded
from infra.asl.errors import (
    HEARTBEAT_TIMEOUT,
    RUNTIME,
    TIMEOUT,
    DataLimitExceeded,
    StateFailure,
    TerminalFailure,
)
from infra.asl.expressions.query import is_query
from infra.asl.expressions.values import JSON, exceeds_data_limit, to_json_text
from infra.asl.fields import MAX_SECONDS, Fields
from infra.asl.retry import compile_catchers, compile_retriers
from infra.asl.states.state import State, check_parameters, compile_succeed

if TYPE_CHECKING:
    from infra.asl.execution import Frame
    from infra.asl.interpreter import Advance

_FUNCTION_ARN = re.compile(r"arn:aws[\w-]*:lambda:[\w-]+:\d{12}:function:[\w-]+(?::[\w$-]+)?")
_ROOT = re.compile(r"\.\$\"|\$\$|\$\.Payload\b")
_INTEGRATION_ARN = re.compile(r"arn:aws[\w-]*:states:::([\w-]+(?::[\w-]+)+)(\.[\w:]+)?")


def compile_task(
    name: str, fields: Fields, integrations: Collection[str] | None, *, express: bool
) -> State:
    """Compile a Task; a function's own ARN needs the integration ``lambda``."""
    resource = fields.require("Resource", str)
    service = _service(fields, resource, integrations, express=express)
    _check_settings(fields)
    input_path, parameters = fields.path("InputPath"), fields.arguments()
    timeout = fields.setting("TimeoutSeconds", None, (1, MAX_SECONDS))
    heartbeat = fields.setting("HeartbeatSeconds", None, (1, MAX_SECONDS))
    _check_parameters(fields, resource, integrations)
    metadata = may_read_metadata(fields.value)
    succeed = compile_succeed(fields)
    kind = "Task" if service else "LambdaFunction"
    request_field = "parameters" if service else "input"
    about = {"resource": resource.rsplit(":", 1)[1], "resourceType": service} if service else {}
    scheduled_about = about or {"resource": resource}
    waits = resource.endswith(task_tokens.PATTERN)

    def enter(advance: "Advance", frame: "Frame") -> None:
        request = input_path(frame.input, frame)
        seconds = timeout(request, frame)
        beat = heartbeat(request, frame)  # used with task tokens only; its path selects a value
        if waits:
            context = frame.execution.context
            frame.callback = task_tokens.begun(context, advance.now, seconds, beat)
        if parameters:
            request = parameters(request, frame)
        check_parameters(name, request, frame.input)
        times = {"timeoutInSeconds": seconds, "heartbeatInSeconds": beat if waits else None}
        given = {name: value for name, value in times.items() if value is not None}
        details = {**scheduled_about, request_field: request, **given}
        advance.record(frame, f"{kind}Scheduled", details)
        advance.record(frame, f"{kind}Started", about)
        frame.request = request
        advance.wait(frame, "task", seconds)

    def on_answer(advance: "Advance", frame: "Frame", signal: Signal) -> None:
        callback = frame.callback
        if callback is not None:
            if not callback["submitted"] and isinstance(signal, TaskSucceeded):
                advance.record(frame, f"{kind}Submitted", {**about, "output": signal.output})
                frame.callback = {**callback, "submitted": True}
                advance.wait(frame, "callback", task_tokens.due(callback, advance.now))
                return
            frame.callback = None
        if isinstance(signal, TaskSucceeded) and not exceeds_data_limit(signal.output, signal.size):
            advance.record(frame, f"{kind}Succeeded", {**about, "output": signal.output})
            succeed(advance, frame, signal.output)
            return
        failure = _failure_of(signal, service or resource, callback, advance)
        outcome = "TimedOut" if failure.error in _TIMEOUTS else "Failed"
        details = {**about, "error": failure.error, "cause": failure.cause}
        advance.record(frame, f"{kind}{outcome}", details)
        advance.fail(frame, failure)

    retriers, catchers = compile_retriers(fields), compile_catchers(fields)
    tasks = (retriers, catchers, (), resource, metadata)
    return State(name, "Task", enter, on_answer, None, None, *tasks)


def _check_settings(fields: Fields) -> None:
    """Refuse credentials without a role, and a heartbeat that is not less than the timeout.

    Source: "Task workflow state" in the AWS Step Functions Developer Guide, HeartbeatSeconds.
    """
    if "Credentials" in fields:
        credentials = fields.nested("Credentials")
        credentials.require(credentials.one_of("RoleArn.$", "RoleArn") or "RoleArn", str)
    beat, timeout = (fields.value.get(name) for name in ("HeartbeatSeconds", "TimeoutSeconds"))
    if isinstance(beat, int) and isinstance(timeout, int) and beat >= timeout:
        raise fields.refuse("The value must be less than TimeoutSeconds", "HeartbeatSeconds")


def may_read_metadata(state: Mapping[str, Any]) -> bool:
    """Return whether an expression may read other fields of an answer than its payload.

    The host then need not make them, which saves time and journal for most states.
    """
    texts = to_json_text([state.get("ResultSelector"), state.get("Assign")])
    selects = "ResultSelector" in state or state.get("ResultPath", "$") is None
    is_jsonpath = not ({"Arguments", "Output"} & state.keys())
    reads = _ROOT.sub("", texts)
    return not (selects and is_jsonpath and "$" not in reads)


def _check_parameters(fields: Fields, resource: str, integrations: Collection[str] | None) -> None:
    """Refuse each parameter, and each constant value, that the integration does not support."""
    integration = _INTEGRATION_ARN.fullmatch(resource)
    if integration is None or not isinstance(integrations, Mapping):
        return
    known = integrations[integration[1]]
    field = "Arguments" if fields.is_jsonata else "Parameters"
    given = fields.value.get(field)
    if known is None or not isinstance(given, Mapping):
        return
    for key, value in given.items():
        name = key if fields.is_jsonata else key.removesuffix(".$")
        place = f"{field}/{key}"
        if name not in known:
            supported = ", ".join(sorted(known))
            problem = f"The parameter '{name}' of {integration[1]} is not supported; "
            raise fields.refuse(f"{problem}supported are {supported}", place)
        allowed = known[name]
        if allowed is not None and key == name and not is_query(value) and value not in allowed:
            raise fields.refuse(f"The value of '{name}' must be {' or '.join(allowed)}", place)


_TIMEOUTS = (TIMEOUT, HEARTBEAT_TIMEOUT)


def _failure_of(
    signal: Signal, name: str, callback: "dict[str, JSON] | None", advance: "Advance"
) -> StateFailure:
    """Return the failure that a signal means."""
    if isinstance(signal, TaskSucceeded):
        return DataLimitExceeded(name, "returned a result")
    if isinstance(signal, TaskFailed):
        if signal.error == RUNTIME and callback is None:
            return TerminalFailure(signal.cause or "")
        return StateFailure(signal.error, signal.cause)
    advance.effects.append(CancelTask(signal.token))
    if callback:
        return task_tokens.timeout_of(callback, advance.now)
    return StateFailure(TIMEOUT, None)


def _service(
    fields: Fields, resource: str, integrations: Collection[str] | None, *, express: bool
) -> str | None:
    """Return the service of an optimised integration, or None for a function's ARN."""
    if _FUNCTION_ARN.fullmatch(resource) and _is_known("lambda", integrations):
        return None
    integration = _INTEGRATION_ARN.fullmatch(resource)
    if integration and _is_known(integration[1], integrations):
        action, pattern = integration.groups()
        if pattern is None:
            return str(action.split(":")[0])
        if pattern == task_tokens.PATTERN and action in task_tokens.CALLBACKS and not express:
            return str(action.split(":")[0])
        if express:
            problem = f"Express state machine does not support '{pattern}' service integration"
            raise fields.refuse(problem, "Resource")
    raise fields.refuse(
        f"The resource provided {resource} is not recognized. The value is not a valid resource "
        "ARN, or the resource is not available in this region.",
        "Resource",
    )


def _is_known(name: str, integrations: Collection[str] | None) -> bool:
    return integrations is None or name in integrations
