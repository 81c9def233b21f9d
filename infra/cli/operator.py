"""The user of a command, and the words that the history keeps."""

import os
from getpass import getuser

import typer


def operator() -> str:
    """Return the name of the user who runs this command."""
    try:
        return getuser()
    except (KeyError, OSError):  # the user id has no name
        return f"user {os.getuid()}"


def words_of(option: str, text: str) -> str:
    """Return an operator's words, or raise `BadParameter` if there are none."""
    if not text.strip():
        raise typer.BadParameter(f"{option}: is empty; say why")
    return text.strip()
