"""``python -m infra.release COMMAND STAGE [Name=Value ...]``: the steps of `make deploy`.

account    compare the account's quota of concurrent executions with the stage's need, and check
           that alarms can notify their topic
validate   have AWS check the workflow definitions and the policies of the build
deploy     deploy the build, and protect a stage that lasts against the deletion of its stack
delete     delete the stack of a stage that keeps nothing, and what it retained (`make delete`)
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from infra.release.account import check_account, need_of
from infra.release.deletion import delete_stage
from infra.release.stage import (
    SOURCE,
    ReleaseError,
    Stage,
    overrides,
    read_stage,
    template_of,
)
from infra.release.topic import check_topic
from infra.release.validation import Clients, named, validate
from infra.terminal.output import console, errors

SAM = ".venv-sam/bin/sam"

Run = Callable[[Sequence[str]], int]
"""Runs a program and returns its exit status."""


def account(stage: Stage, clients: Clients, _run: Run) -> Iterator[str]:
    """Check the account's quota and the alarms' topic, before the build."""
    need = need_of(template_of(stage, named, SOURCE), stage)
    yield check_account(stage, need, clients("lambda"))
    yield check_topic(stage, clients("sns"))


def checked(stage: Stage, clients: Clients, _run: Run) -> Iterator[str]:
    """Have AWS check the build."""
    yield from validate(template_of(stage, named), clients)


def deploy(stage: Stage, clients: Clients, run: Run) -> Iterator[str]:
    """Deploy the build; a stage that lasts then has termination protection."""
    values = overrides(stage.parameters)
    status = run([SAM, "deploy", "--config-env", stage.name, "--parameter-overrides", *values])
    if status:
        raise ReleaseError(f"sam deploy ended with status {status}; its output has the reason")
    if stage.is_lasting:
        clients("cloudformation").update_termination_protection(
            StackName=stage.stack, EnableTerminationProtection=True
        )
        yield f"{stage.stack} has termination protection"


def delete(stage: Stage, clients: Clients, _run: Run) -> Iterator[str]:
    """Delete the stage."""
    yield from delete_stage(stage, clients)


COMMANDS = {"account": account, "validate": checked, "deploy": deploy, "delete": delete}


def main(
    arguments: Sequence[str],
    clients: Callable[[Stage], Clients] | None = None,
    run: Run = subprocess.call,
) -> int:
    """Run a command; 1 if it is refused."""
    command, *rest = (*arguments, "", "")[: max(2, len(arguments))]
    if command not in COMMANDS:
        errors.print(f"make: {command!r} is none of {', '.join(COMMANDS)}")
        return 1
    try:
        stage = read_stage(rest[0], rest[1:])
        for line in COMMANDS[command](stage, (clients or _clients)(stage), run):
            console.print(line)
    except ReleaseError as error:
        errors.print(f"make: {error}")
        return 1
    return 0


def _clients(stage: Stage) -> Clients:
    import boto3

    session: Any = boto3.Session(region_name=stage.region)
    return partial(_client, session)


def _client(session: Any, service: str) -> Any:
    return session.client(service)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
