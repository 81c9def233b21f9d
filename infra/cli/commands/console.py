"""``orders console``: the console of a deployed stack, in a browser of this machine."""

import webbrowser
from shlex import quote
from typing import Annotated

import typer

from infra.cli.errors import CommandError
from infra.cli.operator import operator
from infra.cli.options import Json, StackOptions, expand_options
from infra.terminal.output import console as terminal
from infra.terminal.output import errors, finish

HOST = "127.0.0.1"


@expand_options
def console(
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port on 127.0.0.1; 0 is any free port.")
    ] = 0,
    open_browser: Annotated[
        bool, typer.Option("--open", help="Open the address in the browser of this machine.")
    ] = False,
    stack: StackOptions,
    as_json: Json = False,
) -> None:
    """Show a deployed stack in the browser, with your own AWS credentials, until Ctrl-C.

    The pages are those of `orders serve`, with the features that a stack has. They are served on
    this machine alone, and each call to AWS needs your IAM permissions. Open the address that is
    printed: its key is for you alone.
    """
    if not stack.given:
        raise CommandError(
            "name the stack with --stack; the console of a data directory is at the address that"
            " `orders serve` prints"
        )
    from infra.console.loopback import KEY, LoopbackConsole, serve
    from infra.console.stack.source import StackSource
    from infra.deployed.stack import find
    from infra.deployed.threaded_account import ThreadedAccount
    from infra.local.template.loader import STACK
    from infra.server.server import open_listener

    account = ThreadedAccount(stack.endpoint_url, stack.profile, stack.region)
    name = stack.stack or STACK
    source = StackSource(find(account, stack.stack), name, _options(stack, name))
    listener = open_listener(HOST, port)
    number = listener.getsockname()[1]
    application = LoopbackConsole(source, number, operator())
    address = f"http://{HOST}:{number}/console/?{KEY}={application.key}"

    def started() -> None:
        lines = (f"the console of {name} at {account.where} (Ctrl-C stops):", f"  {address}")
        # a program that reads the document at the end sees the address too
        (errors if as_json else terminal).print(*lines)
        if open_browser:
            webbrowser.open(address)

    serve(application, listener, started)
    terminal.print("stopped")
    finish({"stopped": True}, as_json=as_json)


def _options(stack: StackOptions, name: str) -> str:
    """Return the options that name the same stack in another command, after a space."""
    given = {
        "--stack": name,
        "--region": stack.region,
        "--profile": stack.profile,
        "--endpoint-url": stack.endpoint_url,
    }
    return "".join(f" {option} {quote(value)}" for option, value in given.items() if value)
