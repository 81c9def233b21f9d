"""Errors of the workflow language.

AslError
├── DefinitionError        a definition is refused
├── ExpressionError        a text is not a path, a filter or an intrinsic function
├── StateFailure           a state fails with an error name that Retry and Catch may match
│   ├── DataLimitExceeded  a state's data exceed 256 KiB
│   ├── QueryFailure       a JSONata expression has no usable result
│   └── TerminalFailure    States.Runtime: ends the execution regardless of Retry and Catch
├── PathNotFoundError      a path selects no value
└── IntrinsicError         an intrinsic function rejects its arguments
"""

from collections.abc import Callable

ALL = "States.ALL"
HEARTBEAT_TIMEOUT = "States.HeartbeatTimeout"
DATA_LIMIT_EXCEEDED = "States.DataLimitExceeded"
EXCEED_TOLERATED_FAILURE_THRESHOLD = "States.ExceedToleratedFailureThreshold"
QUERY_EVALUATION_ERROR = "States.QueryEvaluationError"
RESULT_PATH_MATCH_FAILURE = "States.ResultPathMatchFailure"
RUNTIME = "States.Runtime"
TASK_FAILED = "States.TaskFailed"
TIMEOUT = "States.Timeout"


class AslError(Exception):
    """An error in a definition or an execution."""


class DefinitionError(AslError):
    """A refused definition.

    Attributes
    ----------
    place
        The location as AWS writes it: ``/States/Pay/Retry[0]``.
    problem
        The problem at that location.
    code
        The diagnostic code of AWS's ValidateStateMachineDefinition.
    """

    def __init__(self, place: str, problem: str, code: str = "SCHEMA_VALIDATION_FAILED") -> None:
        super().__init__(f"{code}: {problem} at {place or '/'}")
        self.place = place
        self.problem = problem
        self.code = code


class ExpressionError(AslError):
    """A text that is not a path, a filter or an intrinsic function."""


class StateFailure(AslError):
    """The failure of a state, with the error name and the cause of DescribeExecution."""

    def __init__(self, error: str | None, cause: str | None) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause

    def as_output(self) -> dict[str, str]:
        """Return the output of a catcher."""
        return {"Error": self.error or "", "Cause": self.cause or ""}


class DataLimitExceeded(StateFailure):
    """The failure of a state whose data exceed 256 KiB.

    Source: "Handling errors in Step Functions workflows" in the AWS Step Functions Developer Guide.
    """

    def __init__(self, name: str, what: str) -> None:
        problem = "with a size exceeding the maximum number of bytes service limit."
        super().__init__(DATA_LIMIT_EXCEEDED, f"The state/task '{name}' {what} {problem}")


class TerminalFailure(StateFailure):
    """The failure of a state that ends the execution."""

    def __init__(self, cause: str) -> None:
        super().__init__(RUNTIME, cause)


class QueryFailure(StateFailure):
    """The failure of a state whose JSONata expression has no usable result.

    Source: "Handling errors in Step Functions workflows" in the AWS Step Functions Developer Guide.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(QUERY_EVALUATION_ERROR, cause)


class PathNotFoundError(AslError):
    """A path that selects no value, with the message of Jayway JsonPath, which AWS passes on.

    The message may be long and a filter needs none, so a callable composes it on demand.
    """

    def __init__(self, message: str | Callable[[], str]) -> None:
        super().__init__(message)
        self._message = message

    def __str__(self) -> str:
        return self._message if isinstance(self._message, str) else self._message()


class IntrinsicError(AslError):
    """Invalid arguments of an intrinsic function."""
