"""Loading a template with the rule targets and task integrations that the engine has."""

from collections.abc import Mapping
from pathlib import Path

from infra.local.engine.integrations import KNOWN
from infra.local.engine.targets import TARGETS
from infra.local.template import resources
from infra.local.template.functions import LocalValue
from infra.local.template.stack import Stack, Supported, TargetKind

SUPPORTED = Supported(
    targets={
        service: TargetKind(target.kind, target.resources) for service, target in TARGETS.items()
    },
    integrations=KNOWN,
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
