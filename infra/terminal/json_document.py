"""The JSON document of a command: with ``--json`` it is the only text on standard output.

`infra.cli.main` opens the document of a command, `infra.terminal.output.finish` sets its content,
and an error adds ``error``. It is written once, at the end. Texts and tables for a person are then
dropped (`infra.terminal.output.Terminal.print`), and messages go to standard error.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from typing import Any


class JSONDocument:
    """The document of one command, which asks for JSON or not."""

    def __init__(self, *, wanted: bool) -> None:
        self.wanted = wanted
        self.content: dict[str, Any] | None = None
        self.error: dict[str, str] | None = None
        self._lines = 0

    def fail(self, kind: str, message: str) -> None:
        """Set the error: its kind is the name of the error's class."""
        self.error = {"kind": kind, "message": message}

    def write_line(self, value: object) -> None:
        """Write one document of many, each on a line, for a command that follows events."""
        self._lines += 1
        _write(value)

    def write(self) -> None:
        """Write the document, if JSON is wanted and anything is to be said."""
        if not self.wanted or (self.content is None and self.error is None):
            return
        failure = {} if self.error is None else {"error": self.error}
        _write({**(self.content or {}), **failure})


_open: list[JSONDocument] = []


@contextmanager
def json_document(*, wanted: bool) -> Iterator[JSONDocument]:
    """Yield the command's document, and write it at the end; inside another one, yield that.

    An error that leaves the block is in the document.
    """
    if _open:
        yield _open[-1]
        return
    document = JSONDocument(wanted=wanted)
    _open.append(document)
    try:
        yield document
    except Exception as error:
        document.fail(type(error).__name__, str(error))
        raise
    finally:
        _open.clear()
        document.write()


def current() -> JSONDocument | None:
    """Return the open document of a command that wants JSON, else None."""
    return _open[-1] if _open and _open[-1].wanted else None


def want(*, wanted: bool) -> None:
    """Note whether the running command has the option ``--json``."""
    if _open:
        _open[-1].wanted = wanted


def set_content(content: Mapping[str, Any]) -> None:
    """Set the document's content; without an open document, write it."""
    if not _open:
        _write(content)
        return
    document = _open[-1]
    if document.content is not None:
        raise RuntimeError("finish was called twice: a command has one JSON document")
    document.wanted, document.content = True, dict(content)


def as_one_line(value: object) -> str:
    """Return a value as JSON in printable ASCII; a number outside JSON is null."""
    try:
        text = json.dumps(value, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value))
    return text.replace("\x7f", r"\u007f")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(element) for element in value]
    return value


def _write(value: object) -> None:
    sys.stdout.flush()  # noqa: TID251 - this module is the output of programs
    sys.stdout.write(as_one_line(value) + "\n")  # noqa: TID251
    sys.stdout.flush()  # noqa: TID251
