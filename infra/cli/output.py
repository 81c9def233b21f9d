"""What commands print: for a person, and as one JSON object for a program."""

import json
import sys
from typing import Any

from rich.console import Console

from infra.errors import Refusal

console = Console(highlight=False, soft_wrap=False)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


class CommandError(Refusal):
    """A command cannot do what it was asked; the message says why and what to do."""


def finish(result: dict[str, Any], *, as_json: bool) -> None:
    """Print a command's result as one JSON object on the last line, if that was asked for."""
    if as_json:
        sys.stdout.flush()
        sys.stdout.write(json.dumps(result) + "\n")


def complain(message: str) -> None:
    """Print an error as one line."""
    errors.print(f"orders: {' '.join(message.split())}", style="red", markup=False)
