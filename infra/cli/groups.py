"""Groups of commands whose help has whole sentences."""

from typing import Any

from typer.core import TyperGroup

WHOLE = 1_000
"""Characters of a command's first sentence in a list: it is wrapped, never cut."""


class WholeHelp(TyperGroup):
    """A group whose list of commands has each first sentence whole; the library cuts it at 80."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of the commands."""
        rows = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                rows.append((name, command.get_short_help_str(WHOLE)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)
