"""A stage of ``samconfig.toml``, and the parameters with which it is deployed."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.errors import Refusal
from infra.local.template.loader import Template
from infra.packaging.definitions import BUILD, TEMPLATE

SOURCE = Path(TEMPLATE)
"""The template of the source tree."""

CONFIG = Path("samconfig.toml")

_STACK = re.compile(r"[a-z][a-z0-9-]{0,31}")
"""Stack names from which names of resources can be made: a rule of X-Ray has at most 32 characters,
and a domain of Cognito is in lower case."""

_RESERVED = ("aws", "amazon", "cognito")
"""Words that a domain of Cognito does not have (Cognito, "User pool domain")."""

_PARAMETER = re.compile(r"([A-Za-z0-9]+)=(.*)", re.DOTALL)


class ReleaseError(Refusal):
    """A deployment or a deletion cannot continue; the message has the cause and the way out."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage: its stack's name, its region, and its parameters."""

    name: str
    stack: str
    region: str
    parameters: Mapping[str, str]

    @property
    def is_lasting(self) -> bool:
        """Whether the stage keeps its data, as the template's condition ``Lasting`` has it."""
        return self.name != "dev"


def read_stage(name: str, given: Sequence[str] = (), config: Path = CONFIG) -> Stage:
    """Return a stage; ``given`` are parameters as ``Name=Value``, which override the file's.

    Raises
    ------
    ReleaseError
        There is no such stage, a parameter is malformed, or no resource could have the stack's
        name.
    """
    stages = tomllib.loads(config.read_text("utf-8"))
    if name not in stages or not isinstance(stages[name], dict):
        known = ", ".join(one for one, value in stages.items() if isinstance(value, dict))
        raise ReleaseError(f"ENV={name} is no stage of {config}; there are {known}")
    options = stages[name]["deploy"]["parameters"]
    if not _STACK.fullmatch(options["stack_name"]):
        raise ReleaseError(
            f"{config}: {name}.deploy.parameters.stack_name {options['stack_name']!r} is no name"
            " for this stack; use a lower-case letter and then at most 31 letters, digits or -"
        )
    pairs = [_pair(one) for one in (*options["parameter_overrides"], *given)]
    stage = Stage(name, options["stack_name"], options["region"], dict(pairs))
    _check_domain(stage, config)
    return stage


def _check_domain(stage: Stage, config: Path) -> None:
    """Raise `ReleaseError` if the hosted console's domain cannot have the stack's name."""
    words = [word for word in _RESERVED if word in stage.stack]
    if words and stage.parameters.get("Console") == "hosted":
        raise ReleaseError(
            f"{config}: {stage.name}.deploy.parameters.stack_name {stage.stack!r} has the word"
            f" {words[0]!r}, which Cognito refuses in the domain of the hosted console's users; use"
            " another name, or Console=off"
        )


def _pair(text: str) -> tuple[str, str]:
    match = _PARAMETER.fullmatch(text)
    if match is None:
        raise ReleaseError(f"the parameter {text!r} is malformed; write it as Name=Value")
    return match[1], match[2]


def overrides(parameters: Mapping[str, str]) -> list[str]:
    """Return parameters as SAM's ``--parameter-overrides`` takes them, each value in quotes."""
    return [
        '{}="{}"'.format(name, value.replace("\\", "\\\\").replace('"', '\\"'))
        for name, value in parameters.items()
    ]


def template_of(stage: Stage, identify: Any, path: Path = BUILD / TEMPLATE) -> Template:
    """Return a template, by default the one that `make build` left, with the stage's parameters.

    Raises
    ------
    ReleaseError
        There is none.
    """
    if not path.is_file():
        raise ReleaseError(f"{path} is missing; run `make build`")
    return Template(path, stage.parameters, identify)
