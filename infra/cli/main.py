"""The ``orders`` command: its commands put together, and what it says when one fails."""

import io
import os
import sys
import traceback
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from infra.errors import Refusal
from infra.terminal.output import complain, console, errors, take_any_character
from kernel.errors import OrderflowError

INTERRUPTED = 130
EXPECTED = (Refusal, OrderflowError)

COMMANDS = {
    "run": "run:run",
    "serve": "serve:serve",
    "emit": "emit:emit",
    "replay": "replay:replay",
    "show": "show:show",
    "list": "list:list_orders",
    "stock": "stock:app",
    "dead-letters": "dead_letters:app",
    "events": "events:app",
    "query": "query:query",
    "report": "report:report",
    "cost": "cost:cost",
    "export": "export:export_",
    "import": "import_:import_",
    "backup": "backup:backup",
    "restore": "restore:restore",
    "audit": "audit:audit",
    "doctor": "doctor:doctor",
}
"""The commands by name: a module of `infra.cli.commands`, and what of it is the command."""

_STYLE: dict[str, Any] = {
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
}


class Commands(TyperGroup):
    """Imports a command when it is asked for: to start with all of them takes half a second."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the library's
        """Return the names of the commands as help has them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Return a command, or nothing if there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        found = getattr(import_module(f"infra.cli.commands.{module}"), name)
        around = typer.Typer(**_STYLE)
        if isinstance(found, typer.Typer):
            around.add_typer(found, name=cmd_name)
        else:
            around.command(cmd_name)(found)
        return typer.main.get_group(around).commands[cmd_name]


app = typer.Typer(name="orders", cls=Commands, no_args_is_help=True, **_STYLE)


@app.callback()
def orders() -> None:
    """An order platform on EventBridge and Step Functions, whole on this machine."""  # noqa: D401 - the help of the program


def main() -> None:
    """Run the command; 0 is done, 1 is an error in one line, 2 is wrong usage."""
    take_any_character()
    try:
        code = typer.main.get_command(app).main(prog_name="orders", standalone_mode=False)
    except typer.TyperException as error:
        _explain(error)
        code = error.exit_code
    except EXPECTED as error:
        complain(str(error))
        code = 1
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        # the reader of our output has gone; nothing is left to say to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), console.rich.file.fileno())
        code = 1
    except UnicodeEncodeError as error:
        there = error.object[max(error.start - 20, 0) : error.end + 20]
        complain(f"{there!r} is not text in UTF-8; correct the argument, or rename the file")
        code = 1
    except Exception:  # noqa: BLE001 - a fault of ours; its message may have text from outside
        errors.print(*traceback.format_exc().rstrip().split("\n"))
        code = 1
    if code == INTERRUPTED:  # which Typer makes of Ctrl-C
        complain("stopped; what was accepted is in the journal: `orders run --count 0` goes on")
    sys.exit(code or 0)


def _explain(error: typer.TyperException) -> None:
    """Print what Typer says of wrong usage."""
    said = io.StringIO()
    wrong: Any = error  # Typer does not type what its errors can do
    wrong.show(said)
    errors.print(*said.getvalue().rstrip("\n").split("\n"))
