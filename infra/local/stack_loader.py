"""Loading a template with the rule targets and task integrations that the engine has.

The engine has a class for each target and integration (`infra.local.engine.targets`,
`infra.local.engine.integrations`). This module imports none of them, so that a template can be read
without the engine.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from infra.local.template import resources
from infra.local.template.functions import LocalValue
from infra.local.template.project import TEMPLATE
from infra.local.template.stack import Stack, Supported, TargetKind
from infra.local.template.task_parameters import PARAMETERS

SUPPORTED = Supported(
    targets={
        "sqs": TargetKind("queue", "queues"),
        "states": TargetKind("machine", "state_machines"),
        "firehose": TargetKind("stream", "streams"),
    },
    integrations=PARAMETERS,
)


def load(path: Path, parameters: Mapping[str, str], local_value: LocalValue) -> Stack:
    """Return the stack of a template.

    Raises
    ------
    TemplateError
        The template refers to a missing resource or needs an unsupported feature; the message names
        the place.
    """
    return resources.load(path, parameters, local_value, SUPPORTED)


@cache
def shipped() -> Stack:
    """Return the stack of the project's template by its defaults, which is read once in a process.

    Its readers share it, so none may change it.
    """
    return load(TEMPLATE, {}, lambda _variable, value: value)
