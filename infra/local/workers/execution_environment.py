"""A Lambda execution environment: calls handlers in this process, one invocation at a time."""

import io
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

from infra.local.template.loader import REGION
from kernel import clock, json_text
from lambda_support import settings

COMMON = {
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "POWERTOOLS_TRACE_DISABLED": "true",
    "LAMBDA_TASK_ROOT": "services",
}


class Context:
    """The context object of an invocation."""

    function_version = "$LATEST"
    client_context = None
    identity = None

    def __init__(self, function: Mapping[str, Any], request_id: str) -> None:
        self.function_name: str = function["name"]
        self.aws_request_id = request_id
        self._function = function
        self._started = time.monotonic()

    @property
    def invoked_function_arn(self) -> str:
        """The function's ARN."""
        return str(self._function["arn"])

    @property
    def memory_limit_in_mb(self) -> int:
        """The function's memory."""
        return int(self._function["memory"])

    @property
    def log_group_name(self) -> str:
        """The log group that the function would have on AWS."""
        return f"/aws/lambda/{self.function_name}"

    @property
    def log_stream_name(self) -> str:
        """The log stream: one for each process."""
        return self.aws_request_id.partition("-")[0]

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the function times out."""
        left = self._started + float(self._function["timeout"]) - time.monotonic()
        return max(0, int(left * 1000))


class _Output(io.TextIOBase):
    """Standard output of handlers: collects metrics (EMF) and writes the other lines to the log.

    The log may be rotated by another process: the first line of an invocation looks for that.
    """

    def __init__(self, path: Path) -> None:
        self.metrics: list[str] = []
        self._path = path
        self._log = self._open()
        self._wrote = False

    def write(self, text: str) -> int:
        """Collect or log a text; Powertools writes a line at a time."""
        if text.startswith('{"_aws"'):
            self.metrics.append(sendable(text))
        elif text.strip():
            with suppress(OSError):  # a full disk loses log lines, never an order
                if not self._wrote:
                    self._wrote = True
                    self._follow_rotation()
                self._log.write(text if text.endswith("\n") else text + "\n")
        return len(text)

    def flush(self) -> None:
        """Do nothing: the log is flushed after each invocation."""

    def end(self) -> None:
        """Flush the lines of an invocation."""
        if self._wrote:
            self._wrote = False
            with suppress(OSError):
                self._log.flush()

    def close_log(self) -> None:
        """Close the log."""
        self._log.close()

    def _open(self) -> TextIO:
        return self._path.open("a", buffering=1 << 16, encoding="utf-8", errors="backslashreplace")

    def _follow_rotation(self) -> None:
        """Open the log anew if its name is of another file, or of none."""
        try:
            same = os.path.samestat(self._path.stat(), os.fstat(self._log.fileno()))
        except FileNotFoundError:
            same = False
        if not same:
            opened = self._open()
            self._log.close()
            self._log = opened


class ExecutionEnvironment:
    """The handlers of some functions, run in this process.

    Parameters
    ----------
    functions : Mapping[str, Mapping]
        By name: ``handler``, ``arn``, ``memory``, ``timeout``, ``variables``.
    log : Path
        The file for their output.
    """

    def __init__(self, functions: Mapping[str, Mapping[str, Any]], log: Path) -> None:
        self.functions = functions
        self._handlers: dict[str, Callable[[Any, Context], Any]] = {}
        self._current: str | None = None
        self._switches: dict[tuple[str | None, str], list[tuple[str, str | None]]] = {}
        self._output = _Output(log)
        self._count = 0
        os.environ.update(COMMON)

    def close(self) -> None:
        """Close the log."""
        self._output.close_log()

    def load(self) -> None:
        """Import every handler, so that forked processes share them."""
        for name in self.functions:
            self._handler(name)

    def invoke(self, name: str, payload: bytes, offset: float) -> tuple[bytes, bytes, list[str]]:
        """Run a handler.

        Parameters
        ----------
        name : str
            The function.
        payload : bytes
            The event as JSON.
        offset : float
            Seconds that the platform's clock is ahead of real time.

        Returns
        -------
        tuple
            The result and the error as JSON, of which one is empty, and the metrics.
        """
        clock.shift(offset)
        if not self._count:
            # not in `__init__`: the process that loads the handlers forks the workers
            self._prefix = f"{os.getpid():08x}"
        self._count += 1
        context = Context(self.functions[name], f"{self._prefix}-{self._count:012x}")
        stdout, sys.stdout = sys.stdout, self._output  # noqa: TID251 - to the log
        answer, error = b"", b""
        try:
            self._enter(name)
            value = self._handler(name)(json_text.parse(payload), context)
            answer, error = _marshalled(value, context.aws_request_id)
        except Exception as raised:  # noqa: BLE001 - any exception is the function's error
            error = json_text.write(_error(raised, context.aws_request_id))
        finally:
            sys.stdout = stdout  # noqa: TID251
            self._output.end()
        metrics, self._output.metrics = self._output.metrics, []
        return answer, error, metrics

    def _enter(self, name: str) -> None:
        """Set the environment variables of a function."""
        if name == self._current:
            return
        switch = (self._current, name)
        if switch not in self._switches:
            self._switches[switch] = _changed_variables(
                self._variables(self._current), self._variables(name)
            )
        for key, value in self._switches[switch]:
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
        settings.enter(name)
        self._current = name

    def _variables(self, name: str | None) -> dict[str, str]:
        if name is None:
            return {}
        function = self.functions[name]
        return {
            **function["variables"],
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function["memory"]),
        }

    def _handler(self, name: str) -> Callable[[Any, Context], Any]:
        handler = self._handlers.get(name)
        if handler is None:
            module, _, attribute = self.functions[name]["handler"].rpartition(".")
            self._enter(name)
            handler = self._handlers[name] = getattr(import_module(module), attribute)
        return handler


def _changed_variables(
    old: Mapping[str, str], new: Mapping[str, str]
) -> list[tuple[str, str | None]]:
    """Return the variables to set or remove (None); setting a variable is a system call."""
    removed: list[tuple[str, str | None]] = [(key, None) for key in old if key not in new]
    return removed + [(key, value) for key, value in new.items() if old.get(key) != value]


def _marshalled(value: object, request_id: str) -> tuple[bytes, bytes]:
    """Return a handler's value as JSON, or its error as JSON; one is empty.

    Lambda's error for a value that is not JSON is Runtime.MarshalError.
    """
    try:
        answer = json_text.write(value)
        problem = f"more than {json_text.MAX_DEPTH} levels" if json_text.is_too_deep(answer) else ""
    except (TypeError, ValueError, RecursionError) as error:
        answer, problem = b"", str(error)
    if not problem:
        return answer, b""
    message = f"Unable to marshal response: {problem}"
    error_body = {"errorType": "Runtime.MarshalError", "errorMessage": message}
    return b"", json_text.write({**error_body, "requestId": request_id, "stackTrace": []})


def sendable(text: str) -> str:
    """Return a text with lone surrogates escaped, as UTF-8 cannot encode them."""
    return text.encode(errors="backslashreplace").decode()


def _error(raised: Exception, request_id: str) -> dict[str, Any]:
    frames = traceback.extract_tb(raised.__traceback__, limit=-3)
    try:
        message = sendable(str(raised))
    except Exception as another:  # noqa: BLE001 - `__str__` may raise anything
        message = f"its message cannot be read: {type(another).__name__}"
    return {
        "errorMessage": message,
        "errorType": sendable(type(raised).__name__),
        "requestId": request_id,
        # without columns: the range to underline would be found by parsing each line
        "stackTrace": traceback.format_list(
            [(frame.filename, frame.lineno or 0, frame.name, frame.line) for frame in frames]
        ),
    }
