"""What commands print: for a person, and as one JSON object for a program."""

import json
import re
import sys
from typing import Any

from rich.console import Console

from infra.errors import Refusal

_CONTROLS = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters of C0 and C1, DEL, those of the direction of writing, lone surrogates."""

console = Console(highlight=False, soft_wrap=False)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


class CommandError(Refusal):
    """A command cannot do what it was asked; the message says why and what to do."""


def plain(text: object) -> str:
    r"""Return text for a terminal: each control character as an escape such as ``\x1b``."""
    return _CONTROLS.sub(_escape, str(text))


def _escape(match: "re.Match[str]") -> str:
    return match[0].encode("unicode_escape").decode()


def finish(result: dict[str, Any], *, as_json: bool) -> None:
    """Print a command's result as one JSON object on the last line, if that was asked for."""
    if as_json:
        sys.stdout.flush()
        sys.stdout.write(json.dumps(result) + "\n")


def complain(message: str) -> None:
    """Print an error as one line."""
    errors.print(f"orders: {' '.join(message.split())}", style="red", markup=False)
