"""``orders workflow redrive``: continue an execution that failed, was aborted or timed out."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.errors import CommandError
from infra.cli.options import DATA, Data, Json, StackOptions, directory, expand_options
from infra.terminal.output import console, finish
from kernel.clock import timestamp

if TYPE_CHECKING:
    from infra.deployed.stack import DeployedStack

Execution = Annotated[
    str, typer.Argument(metavar="EXECUTION", help="The name of an execution, or its ARN.")
]


@expand_options
def redrive(
    execution: Execution,
    *,
    reason: Annotated[
        str, typer.Option("--reason", help="Why; recorded with the action, on one machine.")
    ] = "",
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Continue a STANDARD execution that failed, was aborted or timed out.

    It continues from the states that did not end, as AWS's RedriveExecution does. States that
    ended are not run again.
    """
    if stack.given and reason.strip():
        raise CommandError(
            "--reason: AWS stores no reason of a redrive; leave it out for a deployed stack"
        )
    deployed = stack.deployed_stack()
    if deployed is not None:
        found = redrive_there(deployed, execution)
        served = True
    else:
        found, served = redrive_here(directory(data), execution, reason.strip())
    times = found["redrive_count"]
    console.print(
        f"{found['name']}: redriven{'' if times == 1 else f', redrive {times}'};"
        f" it was {found['status']}"
    )
    if not served:
        from infra.cli.commands.acting import NOT_SERVED

        console.print(NOT_SERVED)
    finish(found, as_json=as_json)


def redrive_here(where: Any, execution: str, reason: str) -> tuple[dict[str, Any], bool]:
    """Redrive an execution of a data directory, by its server or here."""
    from infra.cli.local_operations import operate

    name, machine = _named(execution)
    where.require_database()
    reader = where.reader()
    query = (
        "select * from executions where name = ? and (? is null or machine = ?)"
        " order by kind = 'STANDARD' desc, id desc limit 1"
    )
    row = reader.row(query, name, machine, machine)
    reader.close()
    if row is None:
        raise CommandError(
            f"no execution is named {name!r}; `orders show ORDER_ID --json` has the names of an"
            " order's runs"
        )
    if row["kind"] == "EXPRESS":
        way = f"`orders retry {row['order_id']}` starts a run" if row["order_id"] else ""
        raise CommandError(
            f"{name} is an execution of {row['machine']}, which is EXPRESS: AWS redrives STANDARD"
            f" executions only{'; ' if way else ''}{way}"
        )
    about = {"order_id": row["order_id"] or name, "execution": f"{row['machine']}:{name}"}
    try:
        answer, served = operate(where, "RedriveExecution", **about, reason=reason)
    except CommandError as error:
        raise CommandError(f"{name}: {error}") from None
    after = answer["after"]
    found = {
        "name": name,
        "state_machine": row["machine"],
        "status": row["status"],
        "error": row["error"],
        "redrive_count": after["redrive_count"],
        "redriven_at": timestamp(after["redriven_at"]),
    }
    return found, served


def _named(execution: str) -> tuple[str, str | None]:
    """Return the name of an execution, and of its state machine if the text is an ARN."""
    _, mark, after = execution.partition(":execution:")
    if not mark:
        return execution, None
    machine, _, name = after.partition(":")
    return name, machine


def redrive_there(stack: "DeployedStack", execution: str) -> dict[str, Any]:
    """Redrive an execution of a deployed stack; a name is looked up in each state machine."""
    from botocore.exceptions import ClientError

    from infra.deployed.account import translate_errors

    client = stack.client("stepfunctions")
    machines = sorted(name for name in stack.names.values() if ":stateMachine:" in name)
    places = [f"{arn.replace(':stateMachine:', ':execution:')}:{execution}" for arn in machines]
    candidates = [execution] if execution.startswith("arn:") else places
    with translate_errors("Step Functions", "name an execution of this stack by its ARN"):
        for arn in candidates:
            try:
                described = client.describe_execution(executionArn=arn)
            except ClientError as error:
                if error.response["Error"]["Code"] not in _UNKNOWN or arn == execution:
                    raise
                continue
            at = client.redrive_execution(executionArn=arn)["redriveDate"]
            return {
                "name": described["name"],
                "state_machine": described["stateMachineArn"].rsplit(":", 1)[-1],
                "status": described["status"],
                "error": described.get("error"),
                "redrive_count": described.get("redriveCount", 0) + 1,
                "redriven_at": timestamp(at.timestamp()),
            }
    raise CommandError(f"no STANDARD execution of the stack is named {execution!r}")


_UNKNOWN = ("ExecutionDoesNotExist", "InvalidArn", "ValidationException")
"""The answers about an execution that another state machine may have; EXPRESS ones are unknown."""
