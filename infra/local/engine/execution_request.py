"""The name and input of an execution, as StartExecution checks them at the port and in a workflow.

Source: StartExecution in the AWS Step Functions API Reference.
"""

import re
from typing import Any

from infra.errors import InvalidRequest
from kernel.json_text import InvalidJSON, read

NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")


def check_name(name: object) -> str:
    """Return an execution's name; raise InvalidRequest if it is not valid."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InvalidRequest("InvalidName", f"Invalid Name: '{name}'")
    return name


def read_input(text: str) -> Any:
    """Return the value of an execution's input; raise InvalidRequest if it is not JSON text."""
    try:
        return read(text)
    except InvalidJSON as error:
        message = f"Invalid State Machine Execution Input: {error}"
        raise InvalidRequest("InvalidExecutionInput", message) from None
