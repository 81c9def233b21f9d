"""``orders completion``: the script with which a shell completes commands and options."""

from enum import StrEnum
from typing import Annotated

import typer
from typer import completion as library

from infra.terminal.output import Records

VARIABLE = "_ORDERS_COMPLETE"
"""The environment variable with which the script asks the command."""


class Shell(StrEnum):
    """A shell with completion."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    shell: Annotated[Shell, typer.Argument(help="The shell: bash, zsh or fish.")],
) -> None:
    """Print the completion script of a shell; load it in its start file.

    For bash: eval "$(orders completion bash)".
    """
    script = library.get_completion_script(  # type: ignore[attr-defined]
        prog_name="orders", complete_var=VARIABLE, shell=shell
    )
    Records().write(script + "\n")
