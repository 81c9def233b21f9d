"""The ``orders`` command: its commands put together, and what it says when one fails."""

import os
import sys
from typing import Any

import typer

from infra.cli import cost, dead_letters, doctor, emit, events, moving, query, run, serve, show
from infra.cli.event_files import UnreadableFile
from infra.cli.output import CommandError, complain
from infra.cli.warehouse import QueryError
from infra.local.bus import InvalidRequest
from infra.local.datadir import DataDirectoryError
from infra.local.template import TemplateError
from infra.local.workers import WorkerError
from infra.server.server import ServerError
from shared.errors import OrderflowError

INTERRUPTED = 130
EXPECTED = (
    CommandError,
    DataDirectoryError,
    InvalidRequest,
    OrderflowError,
    QueryError,
    ServerError,
    TemplateError,
    UnreadableFile,
    WorkerError,
)

app = typer.Typer(
    name="orders",
    help="An order platform on EventBridge and Step Functions, whole on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(run.run)
app.command("serve")(serve.serve)
app.command("emit")(emit.emit)
app.command("replay")(emit.replay)
app.command("show")(show.show)
app.command("list")(show.list_orders)
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(events.app, name="events")
app.command("query")(query.query)
app.command("report")(query.report)
app.command("cost")(cost.cost)
app.command("export")(moving.export_)
app.command("import")(moving.import_)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command; 0 is done, 1 is an error in one line, 2 is wrong usage."""
    try:
        code = typer.main.get_command(app).main(prog_name="orders", standalone_mode=False)
    except typer.TyperException as error:
        wrong: Any = error  # Typer does not type what its errors can do
        wrong.show()
        code = wrong.exit_code
    except EXPECTED as error:
        complain(str(error))
        code = 1
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        # the reader of our output has gone; nothing is left to say to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    if code == INTERRUPTED:  # which Typer makes of Ctrl-C
        complain("stopped; what was accepted is in the journal: `orders run --count 0` goes on")
    sys.exit(code or 0)
