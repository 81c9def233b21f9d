"""JSON from a file that an option names, and an event from the user's editor."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from tempfile import mkstemp
from typing import Any

from infra.cli.errors import CommandError
from infra.dead_letters.edit import require_contract
from infra.errors import Refusal
from kernel.json_text import InvalidJSON, read


def json_from_file(option: str, file: Path) -> Any:
    """Return the JSON of a file that an option names; ``-`` is standard input."""
    try:
        text = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise CommandError(f"{option}: {file} cannot be read: {error.strerror}") from None
    return _parse(text, f"{option}: {file}")


def event_from_editor(before: Any) -> Any:
    """Return an event as the user's editor has saved it."""
    program = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not program:
        raise CommandError(
            "name the change with --set FIELD=VALUE, --unset FIELD or --file FILE; or set EDITOR to"
            " an editor"
        )
    text = before if isinstance(before, str) else json.dumps(before, indent=2, ensure_ascii=False)
    descriptor, name = mkstemp(prefix="orders-", suffix=".json")  # readable by this user alone
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    try:
        code = subprocess.run([*shlex.split(program), name], check=False).returncode  # noqa: S603 - the user's own editor
    except (OSError, ValueError) as error:
        Path(name).unlink()
        raise CommandError(f"the editor {program!r} cannot be started: {error}") from None
    if code:
        Path(name).unlink()
        raise CommandError(f"the editor {program!r} ended with {code}; nothing was changed")
    try:
        event = _parse(Path(name).read_bytes(), "the event")
        if event != before:
            require_contract(event)
    except Refusal as error:
        raise CommandError(
            f"{error}; your text is in {name}: correct it, and pass --file"
        ) from None
    Path(name).unlink()
    return event


def _parse(text: bytes, source: str) -> Any:
    try:
        return read(text)
    except InvalidJSON as error:
        raise CommandError(f"{source} is not JSON: {error}") from None
