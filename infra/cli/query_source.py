"""The text of a query: a name, SQL, a file of SQL, or standard input."""

import sys
from pathlib import Path

from infra.cli.errors import CommandError


def text_of(argument: str) -> str:
    """Return the SQL of a ``.sql`` file or of ``-``; any other argument is returned unchanged.

    Raises
    ------
    CommandError
        The file cannot be read, or is not text.
    """
    if argument == "-":
        return sys.stdin.read()
    if not argument.endswith(".sql") or "\n" in argument:
        return argument
    try:
        return Path(argument).read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{argument} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{argument} is not text in UTF-8") from None
