"""``orders test-pattern``: explain an event pattern's verdict, condition by condition."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.cli.errors import CommandError
from infra.cli.options import Json
from infra.patterns import InvalidPattern, TooComplexEvent, compile_pattern, explain
from infra.patterns.explain import Explanation
from infra.terminal.output import Styled, Table, console, finish
from kernel.json_text import InvalidJSON, read


def explain_pattern(
    pattern: Annotated[str, typer.Argument(help="The pattern: a file of JSON, or JSON text.")],
    event: Annotated[
        str, typer.Argument(help="The event: a file of JSON, JSON text, or - (stdin).")
    ],
    as_json: Json = False,
) -> None:
    """Show each condition of a pattern with the event's value; exit with 1 without a match.

    The alternatives of $or are shown one by one, those with the fewest failed conditions first.
    """
    try:
        explanation = explain(compile_pattern(_text(pattern, "PATTERN")), _event(event))
    except InvalidPattern as error:
        raise CommandError(f"PATTERN: {error}") from None
    except TooComplexEvent as error:
        raise CommandError(f"EVENT: {error}") from None
    if not as_json:
        _show(explanation)
    finish(as_plain(explanation), as_json=as_json)
    if not explanation.matches:
        raise typer.Exit(1)


def as_plain(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as JSON values."""
    return {
        "matches": explanation.matches,
        "alternatives": [
            [
                {
                    "field": each.field,
                    "wanted": each.wanted,
                    "found": each.found,
                    "holds": each.holds,
                }
                for each in alternative.conditions
            ]
            for alternative in explanation.alternatives
        ],
    }


def _show(explanation: Explanation) -> None:
    for number, alternative in enumerate(explanation.alternatives, 1):
        if len(explanation.alternatives) > 1:
            console.print(
                Styled(f"Alternative {number} of {len(explanation.alternatives)}", "bold")
            )
        table = Table("", "field", "wants", "has")
        for each in alternative.conditions:
            verdict = Styled("yes", "green") if each.holds else Styled("no", "red")
            table.add_row(verdict, each.field, each.wanted, each.found)
        console.print(table)
    console.print("The pattern matches." if explanation.matches else "The pattern does not match.")


def _event(argument: str) -> dict[str, Any]:
    try:
        event = read(_text(argument, "EVENT"))
    except InvalidJSON as error:
        raise CommandError(f"EVENT: is not JSON: {error}") from None
    if not isinstance(event, dict):
        raise CommandError("EVENT: is not a JSON object; give an event in its envelope")
    return event


def _text(argument: str, name: str) -> str:
    """Return JSON text as it is, or the text of the file that the argument names."""
    if argument.lstrip().startswith(("{", "[")):
        return argument
    try:
        data = sys.stdin.buffer.read() if argument == "-" else Path(argument).read_bytes()
        return data.decode()
    except OSError as error:
        raise CommandError(f"{name}: {argument} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{name}: {argument} is not UTF-8 text; save it as UTF-8") from None
