"""The ``orders`` command: its subcommands, and one line for each error."""

import io
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from itertools import takewhile
from typing import Annotated, Any

import typer
from typer import completion

from infra.cli.groups import WholeHelp
from infra.errors import Refusal
from infra.terminal.json_document import JSONDocument, json_document
from infra.terminal.output import accept_any_character, console, errors, print_error
from kernel.errors import OrderflowError

INTERRUPTED = 130
EXPECTED = (Refusal, OrderflowError)

COMMANDS = {
    "run": "run:run",
    "serve": "serve:serve",
    "console": "console:console",
    "emit": "emit:emit",
    "replay": "replay:replay",
    "replays": "replays:app",
    "tail": "tail:tail",
    "test-pattern": "pattern:explain_pattern",
    "subscribe": "subscribe:subscribe",
    "unsubscribe": "subscribe:unsubscribe",
    "status": "status:status",
    "show": "show:show",
    "list": "list:list_orders",
    "logs": "logs:logs",
    "cancel": "acting:cancel",
    "retry": "acting:retry",
    "approve": "acting:approve",
    "reject": "acting:reject",
    "note": "acting:note",
    "reviews": "reviews:app",
    "stock": "stock:app",
    "dead-letters": "dead_letters:app",
    "views": "views:app",
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
    "config": "config:config",
    "prune": "prune:prune",
    "workflow": "workflow:app",
    "invoke": "invoke:invoke",
    "help": "help:help_",
    "completion": "completion:completion",
}
"""The commands by name: a module of `infra.cli.commands` and its function or Typer app."""

_STYLE: dict[str, Any] = {
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
}


class Commands(WholeHelp):
    """A lazy group: a command is imported when it is called, since all take half a second."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run the command within its JSON document; `main` opens the same one earlier."""
        with json_document(wanted=False):
            return super().main(*arguments, **options)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the library's
        """Return the names of the commands in the order of the help."""
        return list(COMMANDS)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the arguments name; the error names a similar one."""
        names: Any = dict.fromkeys(COMMANDS)
        self.commands = names  # only the names are read
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Return a command, or None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(f"infra.cli.commands.{module}"), name)
        wrapper = typer.Typer(**_STYLE)
        if isinstance(command, typer.Typer):
            wrapper.add_typer(command, name=cmd_name, cls=WholeHelp)
        else:
            wrapper.command(cmd_name)(command)
        return typer.main.get_group(wrapper).commands[cmd_name]


app = typer.Typer(name="orders", cls=Commands, no_args_is_help=True, **_STYLE)


def _print_version(value: bool) -> None:
    """Print the version of the program and of its data directories, and exit."""
    if value:
        from importlib.metadata import version

        from infra.local.directory.schema import VERSION

        console.print(f"orders {version('orderflow')} (data directory version {VERSION})")
        raise typer.Exit


@app.callback()
def orders(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """An order platform on EventBridge and Step Functions, complete on this machine."""  # noqa: D401 - the help of the program


def main() -> None:
    """Run the command; exit code 0 is success, 1 an error in one line, 2 wrong usage."""
    accept_any_character()
    try:
        with json_document(wanted=_asks_for_json(sys.argv[1:])) as document:
            code = _run(document)
    except BrokenPipeError:
        # the reader closed the pipe: discard the rest of the output
        os.dup2(os.open(os.devnull, os.O_WRONLY), console.rich.file.fileno())
        code = 1
    sys.exit(code)


def _asks_for_json(arguments: Sequence[str]) -> bool:
    """Return whether ``--json`` is among the arguments, so that wrong usage is a document too."""
    options = takewhile(lambda argument: argument != "--", arguments)
    return "--json" in options


def _run(document: JSONDocument) -> int:
    """Run the command and print its error, which is in the document too; return the exit code."""
    if "_ORDERS_COMPLETE" in os.environ:  # a shell asks for completions
        completion.completion_init()  # type: ignore[attr-defined]
    try:
        code = typer.main.get_command(app).main(prog_name="orders", standalone_mode=False)
    except typer.TyperException as error:
        _print_usage_error(error)
        document.fail("WrongUsage", error.format_message())
        return error.exit_code
    except EXPECTED as error:
        print_error(str(error))
        document.fail(type(error).__name__, str(error))
        return 1
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        raise
    except UnicodeEncodeError as error:
        text = error.object[max(error.start - 20, 0) : error.end + 20]
        message = f"{text!r} is not text in UTF-8; correct the argument, or rename the file"
        print_error(message)
        document.fail("NotUTF8", message)
        return 1
    except Exception as error:  # noqa: BLE001 - a bug; its message may have text from outside
        errors.print(*traceback.format_exc().rstrip().split("\n"))
        document.fail(type(error).__name__, str(error))
        return 1
    if code == INTERRUPTED:  # Typer turns Ctrl-C into this exit code
        message = "Stopped. Accepted events are saved; `orders run --count 0` continues."
        print_error(message)
        document.fail("Stopped", message)
    return code or 0


def _print_usage_error(error: typer.TyperException) -> None:
    """Print Typer's message about wrong usage."""
    message = io.StringIO()
    untyped: Any = error  # Typer declares no `show`
    untyped.show(message)
    errors.print(*message.getvalue().rstrip("\n").split("\n"))
