"""The command lines that a page of the console shows, and the parser of the command line."""

import shlex
from html.parser import HTMLParser
from typing import Any

import typer

from infra.cli.main import app


class ShownActions(HTMLParser):
    """The commands of a page, and the addresses that its forms send to by POST."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.commands: list[str] = []
        self.actions: list[str] = []
        self._in_command = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form" and given.get("method") == "post":
            self.actions.append(str(given["action"]))
        if tag == "button" and given.get("formaction"):
            self.actions.append(str(given["formaction"]))
        if tag == "code" and "command" in str(given.get("class")).split():
            self._in_command = True
            self.commands.append("")

    def handle_data(self, data: str) -> None:
        if self._in_command:
            self.commands[-1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "code":
            self._in_command = False


def parse(line: str) -> str:
    """Parse a command line as ``orders`` does, without running it; return the command's name.

    Raises
    ------
    typer.TyperException
        The command line refuses it.
    """
    program, *words = shlex.split(line)
    assert program == "orders", line
    command: Any = typer.main.get_command(app)
    context = command.make_context("orders", words)
    path = []
    while hasattr(command, "resolve_command"):
        rest = [*context._protected_args, *context.args]  # noqa: SLF001 - as its `invoke` does
        name, command, rest = command.resolve_command(context, rest)
        path.append(str(name))
        context = command.make_context(name, rest, parent=context)
    return " ".join(path)
