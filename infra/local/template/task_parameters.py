"""The parameters of each task integration: those that are used, and the values they may have.

The workflow compiler refuses every other one by name, so that none is ignored in silence.
"""

from collections.abc import Mapping

Values = tuple[str, ...] | None
"""The values that a parameter may have; None for any."""

PARAMETERS: Mapping[str, Mapping[str, Values] | None] = {
    "lambda": None,  # the task's input is the payload
    "lambda:invoke": {
        "FunctionName": None,
        "Payload": None,
        "InvocationType": ("RequestResponse",),
        "Qualifier": ("$LATEST",),
    },
    "sqs:sendMessage": {"QueueUrl": None, "MessageBody": None, "DelaySeconds": None},
    "events:putEvents": {"Entries": None},
    "states:startExecution": {"StateMachineArn": None, "Name": None, "Input": None},
}
"""By integration; None if any parameters are valid."""


def free_parameters(integration: str) -> list[str]:
    """Return the parameters that may have any value."""
    return [name for name, allowed in (PARAMETERS[integration] or {}).items() if allowed is None]


def refused_value(integration: str, parameters: Mapping[str, object]) -> str | None:
    """Return the problem with a parameter's name or value at run time, or None."""
    known = PARAMETERS[integration]
    if known is None:
        return None
    for name, value in parameters.items():
        if name not in known:
            return f"The parameter '{name}' is not supported"
        allowed = known[name]
        if allowed is not None and value not in allowed:
            return f"The value for the field '{name}' must be {' or '.join(allowed)}"
    return None
