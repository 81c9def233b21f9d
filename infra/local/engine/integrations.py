"""The integrations that a workflow's tasks may call: each is a class, and a row of `INTEGRATIONS`.

To add an integration, write a class with `check` and `call`, add it to `INTEGRATIONS`, and add its
parameters to `infra.local.template.task_parameters`, which the workflow compiler reads.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from infra.asl import RunTask
from infra.asl.errors import RUNTIME
from infra.errors import InvalidRequest
from infra.local.engine.error_boundary import Expected
from infra.local.engine.execution_request import check_name, read_input
from infra.local.engine.services import EngineServices
from infra.local.template.task_parameters import free_parameters, refused_value
from kernel import json_text

if TYPE_CHECKING:
    from infra.local.template.stack import Stack


class TaskError(Expected):
    """An integration failed, with the error name that a workflow sees."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(cause)
        self.error = error


class FunctionCall(NamedTuple):
    """A call of a function whose result answers the task.

    With ``wrapped``, the answer is the response of Lambda's Invoke around the function's payload.
    """

    function: str
    payload: Any
    wrapped: bool


class TaskIntegration(Protocol):
    """A service that a Task state calls.

    ``name`` is the part of the state's ``Resource`` after ``arn:aws:states:::``, or ``lambda`` for
    a function's own ARN.
    """

    name: ClassVar[str]

    def __init__(self, parts: EngineServices) -> None: ...

    def check(self, parameters: Any) -> None:
        """Raise `TaskError` if a parameter is missing or of another type."""

    def call(self, task: RunTask, now: float) -> Any:
        """Return the response, or the `FunctionCall` whose result is the response.

        Raises
        ------
        TaskError
            The service refuses the request.
        """


Type = type | tuple[type, ...]
ANY: Type = (dict, list, str, int, float, bool, type(None))
_NAMES: Mapping[type, str] = {str: "a STRING", dict: "a JSON object", list: "an array"}


class Shape:
    """The types of a task's parameters; with ``service``, other parameters are refused."""

    def __init__(
        self,
        required: Mapping[str, Type],
        optional: Mapping[str, Type],
        service: str | None = None,
    ) -> None:
        self._service = service
        self._free = frozenset(free_parameters(service)) if service else None
        self._required = list(required.items())
        self._optional = [(name, kind) for name, kind in optional.items() if kind is not ANY]

    def check(self, parameters: Any) -> None:
        """Raise `TaskError` unless the parameters have these types.

        Its name is States.Runtime, which ends the execution as on AWS: no retry changes a type.
        """
        if not isinstance(parameters, dict):
            raise _refused(parameters, ["The parameters must be a JSON object"])
        if self._service and self._free is not None and not parameters.keys() <= self._free:
            refused = refused_value(self._service, parameters)
            if refused is not None:
                raise _refused(parameters, [refused])
        for name, kind in self._required:
            if not isinstance(parameters.get(name, _MISSING), kind):
                break
        else:
            if not self._optional:
                return
        problems = [
            _problem(name, kind, parameters)
            for name, kind in self._required
            if not isinstance(parameters.get(name, _MISSING), kind)
        ]
        problems += [
            _problem(name, kind, parameters)
            for name, kind in self._optional
            if name in parameters and not isinstance(parameters[name], kind)
        ]
        if problems:
            raise _refused(parameters, problems)


_MISSING = object()


def _problem(name: str, kind: Type, parameters: Mapping[str, Any]) -> str:
    if name not in parameters:
        return f"The field '{name}' is required but was missing"
    wanted = _NAMES.get(kind if isinstance(kind, type) else kind[0], "of another type")
    return f"The value for the field '{name}' must be {wanted}"


def _refused(parameters: Any, problems: list[str]) -> TaskError:
    text = json_text.write(parameters).decode()[:1_000]
    reasons = ", ".join(problems)
    cause = f"The Parameters '{text}' could not be used to start the Task: [{reasons}]"
    return TaskError(RUNTIME, cause)


MAX_REFERENCES = 1_000
"""References of a table whose names are remembered."""


class Names:
    """The names of a stack's resources, by the references of its workflows.

    Parameters
    ----------
    stack : Stack
        The stack with the resources.
    table : str
        ``functions`` or ``queues``.
    """

    def __init__(self, stack: "Stack", table: str) -> None:
        self._stack, self._table = stack, table
        self._known: dict[str, str] = {}

    def of(self, reference: str) -> str:
        """Return the name of a resource, or raise `KeyError` if there is none."""
        name = self._known.get(reference)
        if name is None:
            name = self._stack.name_of(self._table, reference)
            if len(self._known) < MAX_REFERENCES:  # a workflow may compute them
                self._known[reference] = name
        return name


_INVOKE = Shape({"FunctionName": str}, {}, "lambda:invoke")
_MESSAGE = Shape({"QueueUrl": str, "MessageBody": ANY}, {"DelaySeconds": int}, "sqs:sendMessage")
_ENTRIES = Shape({"Entries": list}, {}, "events:putEvents")
_TEXTS = dict.fromkeys(("Source", "DetailType", "EventBusName"), str)
_ENTRY = Shape({}, {**_TEXTS, "Detail": (dict, str), "Resources": list})
_EXECUTION = Shape({"StateMachineArn": str}, {"Name": str}, "states:startExecution")


class CallFunction:
    """A function named by its own ARN: the task's input is the payload."""

    name: ClassVar[str] = "lambda"

    def __init__(self, parts: EngineServices) -> None:
        self._names = Names(parts.stack, "functions")

    def check(self, parameters: Any) -> None:
        """Accept any payload."""

    def call(self, task: RunTask, now: float) -> Any:  # noqa: ARG002
        """Return the call of the function that the state's ``Resource`` names."""
        return FunctionCall(_function(self._names, task.resource), task.parameters, wrapped=False)


class InvokeFunction:
    """Lambda's Invoke."""

    name: ClassVar[str] = "lambda:invoke"

    def __init__(self, parts: EngineServices) -> None:
        self._names = Names(parts.stack, "functions")

    def check(self, parameters: Any) -> None:
        """Raise `TaskError` if a parameter is missing or of another type."""
        _INVOKE.check(parameters)

    def call(self, task: RunTask, now: float) -> Any:  # noqa: ARG002
        """Return the call of the named function."""
        function = _function(self._names, task.parameters["FunctionName"])
        return FunctionCall(function, task.parameters.get("Payload", {}), wrapped=True)


def _function(names: Names, reference: str) -> str:
    try:
        return names.of(reference)
    except KeyError as error:
        raise TaskError("Lambda.ResourceNotFoundException", str(error.args[0])) from None


class SendMessage:
    """SQS's SendMessage."""

    name: ClassVar[str] = "sqs:sendMessage"

    def __init__(self, parts: EngineServices) -> None:
        self._queues = parts.queues
        self._names = Names(parts.stack, "queues")

    def check(self, parameters: Any) -> None:
        """Raise `TaskError` if a parameter is missing or of another type."""
        _MESSAGE.check(parameters)

    def call(self, task: RunTask, now: float) -> Any:
        """Send the message; a body that is not text is sent as JSON text."""
        parameters = task.parameters
        body = parameters["MessageBody"]
        text = body if isinstance(body, str) else json_text.write(body).decode()
        try:
            queue = self._names.of(parameters["QueueUrl"])
        except KeyError as error:
            raise TaskError("SQS.QueueDoesNotExistException", str(error.args[0])) from None
        return self._queues.send(queue, text, {}, now, parameters.get("DelaySeconds", 0))


class PutEvents:
    """EventBridge's PutEvents."""

    name: ClassVar[str] = "events:putEvents"

    def __init__(self, parts: EngineServices) -> None:
        self._bus = parts.bus

    def check(self, parameters: Any) -> None:
        """Raise `TaskError` if a parameter is missing or of another type."""
        _ENTRIES.check(parameters)
        for entry in parameters["Entries"]:
            _ENTRY.check(entry)

    def call(self, task: RunTask, now: float) -> Any:
        """Put the entries; a detail that is an object is sent as JSON text.

        The ARNs of the execution and of its machine are appended to each entry's Resources
        ("Add EventBridge events with Step Functions", AWS Step Functions Developer Guide).
        """
        own = [task.context[part]["Id"] for part in ("Execution", "StateMachine")]
        entries = [_entry(entry, own) for entry in task.parameters["Entries"]]
        try:
            answer = self._bus.put(entries, now)
        except InvalidRequest as error:
            raise TaskError(f"EventBridge.{error.code}", str(error)) from None
        if answer["FailedEntryCount"]:
            raise TaskError("EventBridge.FailedEntry", json.dumps(answer["Entries"]))
        return answer


def _entry(entry: Mapping[str, Any], own: list[str]) -> dict[str, Any]:
    sent = {**entry, "Resources": [*(entry.get("Resources") or []), *own]}
    if isinstance(entry.get("Detail"), dict):
        sent["Detail"] = json_text.write(entry["Detail"]).decode()
    return sent


class StartExecution:
    """Step Functions' StartExecution."""

    name: ClassVar[str] = "states:startExecution"

    def __init__(self, parts: EngineServices) -> None:
        self._stack, self._executions = parts.stack, parts.executions

    def check(self, parameters: Any) -> None:
        """Raise `TaskError` if a parameter is missing or of another type."""
        _EXECUTION.check(parameters)

    def call(self, task: RunTask, now: float) -> Any:
        """Start the execution."""
        parameters = task.parameters
        try:
            machine = self._stack.name_of("state_machines", parameters["StateMachineArn"])
        except KeyError as error:
            missing = "StepFunctions.StateMachineDoesNotExistException"
            raise TaskError(missing, str(error.args[0])) from None
        given, body = parameters.get("Name"), parameters.get("Input", {})
        try:
            name = self._executions.new_name() if given is None else check_name(given)
            body = read_input(body) if isinstance(body, str) else body
        except InvalidRequest as error:
            raise TaskError(f"StepFunctions.{error.code}Exception", str(error)) from None
        arn = self._executions.start(machine, name, body, now)
        return {"ExecutionArn": arn, "StartDate": now}


INTEGRATIONS: tuple[type[TaskIntegration], ...] = (
    CallFunction,
    InvokeFunction,
    SendMessage,
    PutEvents,
    StartExecution,
)
