"""``orders workflow``: test a state, run a definition with virtual time, draw its states.

``redrive`` is in `infra.cli.commands.redriving`.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.asl import DefinitionError, compile_definition
from infra.asl.single_state import Given, MissingAnswer, StateRun, run_state
from infra.cli.commands.redriving import redrive
from infra.cli.errors import CommandError
from infra.cli.event_input import json_from_file
from infra.cli.options import Json
from infra.local.template.task_parameters import PARAMETERS
from infra.terminal.output import Styled, Table, console, finish
from infra.views import state_graph
from infra.views.workflow import Mocks, definition_of, run, state_in
from kernel import clock

app = typer.Typer(
    no_args_is_help=True, help="Test, run and draw workflows, or redrive an execution."
)
app.command("redrive")(redrive)

_ORDERS = "order_processing"
_Input = Annotated[Path, typer.Option("--input", metavar="FILE", help="The input; - is stdin.")]
_Workflow = Annotated[
    str, typer.Option("--workflow", metavar="NAME", help="A workflow of the project, or a file.")
]


def _object_option(what: str) -> typer.models.OptionInfo:
    info: typer.models.OptionInfo = typer.Option(metavar="FILE", help=f"{what}: a JSON object.")
    return info


class Format(StrEnum):
    """The formats of a graph."""

    MERMAID = "mermaid"
    SVG = "svg"


@app.command("test")
def check_state(
    state: Annotated[str, typer.Argument(help="The name of a state.")],
    data: _Input,
    workflow: _Workflow = _ORDERS,
    result: Annotated[
        Path | None,
        typer.Option("--result", metavar="FILE", help="The answer of the state's call."),
    ] = None,
    error: Annotated[str, typer.Option(help="The error of the state's call.")] = "",
    cause: Annotated[str, typer.Option(help="The cause of that error.")] = "",
    variables: Annotated[Path | None, _object_option("The workflow's variables")] = None,
    context: Annotated[Path | None, _object_option("The Context object")] = None,
    retries: Annotated[int, typer.Option(min=0, help="Retries that were made before.")] = 0,
    as_json: Json = False,
) -> None:
    """Show a state's output, its next state or error, and each step of its data flow.

    It is AWS's TestState with a mocked answer: nothing is called, and no order is changed.
    """
    if result and error:
        raise CommandError("name either --result or --error")
    _, definition = definition_of(workflow)
    tested, language = state_in(definition, state)
    given = Given(error=error, cause=cause) if error else None
    given = Given(json_from_file("--result", result)) if result else given
    try:
        found = run_state(
            state,
            tested,
            json_from_file("--input", data),
            given=given,
            context=_object(context, "--context"),
            variables=_object(variables, "--variables"),
            language=language,
            retries=retries,
            now=clock.now(),
            integrations=PARAMETERS,
        )
    except DefinitionError as refused:
        raise CommandError(f"{workflow}: {refused}") from None
    except MissingAnswer as missing:
        raise CommandError(f"{missing} with --result FILE or --error NAME") from None
    _show_state(found)
    finish(
        {
            "status": found.status,
            "output": found.output,
            "next_state": found.next_state,
            "failure": _failure(found.error, found.cause),
            "variables": found.variables,
            "retry_seconds": found.retry_seconds,
            "steps": found.steps,
        },
        as_json=as_json,
    )


def _object(file: Path | None, option: str) -> dict[str, Any]:
    value = json_from_file(option, file) if file else {}
    if not isinstance(value, dict):
        raise CommandError(f"{option}: {file} is not a JSON object")
    return value


def _failure(error: str | None, cause: str | None) -> dict[str, str | None] | None:
    """Return the failure in a document, whose ``error`` is that of the command alone."""
    return {"error": error, "cause": cause} if error or cause else None


def _show_state(found: StateRun) -> None:
    for step, value in found.steps.items():
        console.print(Styled(step, "bold"))
        console.print_json(value)
    if found.status in ("SUCCEEDED", "CAUGHT_ERROR"):
        console.print(Styled("output", "bold"))
        console.print_json(found.output)
    table = Table()
    colour = {"SUCCEEDED": "green", "FAILED": "red"}.get(found.status, "yellow")
    table.add_row("status", Styled(found.status, colour))
    for label, value in (
        ("next state", found.next_state or ("(end)" if found.status == "SUCCEEDED" else None)),
        ("error", found.error),
        ("cause", found.cause),
        ("variables", found.variables or None),
        ("retried after", found.retry_seconds and f"{found.retry_seconds:g} s"),
    ):
        if value is not None:
            table.add_row(label, value)
    console.print(table)


@app.command("run")
def run_workflow(
    workflow: Annotated[str, typer.Argument(help="A file, or a workflow of the project.")],
    data: _Input,
    mocks: Annotated[
        Path | None,
        typer.Option("--mocks", metavar="FILE", help="Answers, as Step Functions Local has them."),
    ] = None,
    case: Annotated[str | None, typer.Option(help="A test case of the mocks.")] = None,
    as_json: Json = False,
) -> None:
    """Run a definition with virtual time; a Task is answered by the mocks."""
    name, definition = definition_of(workflow)
    answers = Mocks(json_from_file("--mocks", mocks), name, case) if mocks else None
    try:
        ran = run(name, definition, json_from_file("--input", data), answers)
    except DefinitionError as refused:
        raise CommandError(f"{workflow}: {refused}") from None
    except RuntimeError as unanswered:
        raise CommandError(f"{workflow}: {unanswered}") from None
    start = ran.history[0].timestamp
    entered = [event for event in ran.history if event.type.endswith("StateEntered")]
    table = Table("second", "state", "type", right=("second",))
    for event in entered:
        kind = event.type.removesuffix("StateEntered")
        table.add_row(f"{event.timestamp - start:.0f}", event.details["name"], kind)
    console.print(table)
    ended = ran.ended
    console.print(f"{ended.status} after {ran.seconds:.0f} virtual seconds")
    if ended.error or ended.cause:
        console.print(f"{ended.error}: {ended.cause}")
    else:
        console.print_json(ended.output)
    finish(
        {
            "status": ended.status,
            "output": ended.output,
            "failure": _failure(ended.error, ended.cause),
            "seconds": ran.seconds,
            "states": [event.details["name"] for event in entered],
        },
        as_json=as_json,
    )


@app.command()
def graph(
    workflow: Annotated[str, typer.Argument(help="A file, or a workflow.")] = _ORDERS,
    kind: Annotated[Format, typer.Option("--format", help="The format.")] = Format.MERMAID,
    as_json: Json = False,
) -> None:
    """Print the states of a workflow as a Mermaid flowchart or as SVG."""
    name, definition = definition_of(workflow)
    try:
        compile_definition(definition, name=name)
    except DefinitionError as refused:
        raise CommandError(f"{workflow}: {refused}") from None
    if kind is Format.SVG:
        text = state_graph.svg(definition, name)
    else:
        text = state_graph.mermaid(definition)
    if not as_json:
        console.print_whole(text)
    finish({"format": kind.value, "graph": text}, as_json=as_json)
