"""``orders help``: topics for operators, and the help of a command."""

from typing import Annotated, Any

import typer

from infra.cli.errors import CommandError
from infra.cli.topics import print_topic, topics
from infra.terminal.output import Table, console


def help_(
    context: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="TOPIC", help="A topic, or a command.")
    ] = None,
) -> None:
    """Explain a topic, such as settings or retention, or a command."""
    known = topics()
    if not words:
        table = Table("topic", "about")
        for name, section in known.items():
            table.add_row(name, section.partition("\n")[0])
        console.print(table, "", "`orders help TOPIC` prints one, `orders --help` the commands.")
    elif len(words) == 1 and words[0].lower() in known:
        print_topic(known[words[0].lower()])
    else:
        console.print_whole(_help_of(context, words))


def _help_of(context: typer.Context, words: list[str]) -> str:
    """Return the help of a command, such as ``dead-letters redrive``."""
    assert context.parent is not None
    within: Any = context.parent
    for word in words:
        group = within.command
        command = group.get_command(within, word) if hasattr(group, "get_command") else None
        if command is None:
            message = f"{' '.join(words)!r} is no topic and no command; `orders help` lists topics"
            raise CommandError(message)
        within = typer.Context(command, info_name=word, parent=within)
    return str(within.get_help())
