"""A handler on MiniStack that starts slowly and sometimes does not answer.

It is a file of the functions' package, so it imports nothing but the standard library. MiniStack
counts the concurrent executions and ends a call at its function's timeout; this module makes the
calls that need it.
"""

import json
import os
import time
from importlib import import_module
from pathlib import Path
from random import SystemRandom
from typing import Any

ACTS = 0.5
"""Share of the calls that time out whose handler has done its work."""

_chance = SystemRandom()
_wrapped: Any = None
_timeouts = 0.0
_log = Path(os.devnull)


def install(name: str, faults: str) -> str:
    """Take the time of a cold start, and return the handler's name for Lambda's client.

    Parameters
    ----------
    name : str
        The function's own handler, such as ``orders.handlers.validate_order.handler``.
    faults : str
        JSON: ``cold``, the seconds of the init phase; ``timeouts``, the share of calls that do not
        answer; ``log``, the file with a line for each fault.
    """
    global _wrapped, _timeouts, _log  # noqa: PLW0603 - an environment has one function
    given = json.loads(faults)
    _timeouts, _log = given["timeouts"], Path(given["log"])
    _note("cold", name)
    time.sleep(given["cold"])
    module, _, function = name.replace("/", ".").rpartition(".")
    _wrapped = getattr(import_module(module), function)
    return f"{__name__}.handler"


def handler(event: Any, context: Any) -> Any:
    """Call the function's own handler; let its share of the calls time out."""
    if _chance.random() >= _timeouts:
        return _wrapped(event, context)
    acts = _chance.random() < ACTS
    _note("timed_out", context.function_name)
    if acts:
        _wrapped(event, context)
    time.sleep(context.get_remaining_time_in_millis() / 1000 + 60)
    raise AssertionError("MiniStack did not end a call at its function's timeout")


def _note(fault: str, function: str) -> None:
    with _log.open("a") as file:  # one short line, so lines of several processes do not mix
        file.write(f"{fault} {function}\n")
