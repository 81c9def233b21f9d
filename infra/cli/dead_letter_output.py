"""The output of ``orders dead-letters``; text from outside is never read as markup."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from infra.terminal.output import Styled, Table, console

SHOWN = 200
"""Letters that a table has; ``--json`` has all."""

_STYLES = {"done": "green", "sent": "green", "back": "yellow", "refused": "red"}
_FACTS = ("id", "queue", "since", "from", "order_id", "reason", "state", "outcome", "closed")


def show_open(letters: Sequence[Mapping[str, Any]], pending: int) -> None:
    """Print the open letters, and how many others are redriven and not done yet."""
    if letters:
        table = Table("id", "queue", "since (UTC)", "order", "reason")
        for letter in letters[:SHOWN]:
            head = (letter["id"], letter["queue"], _moment(letter["since"]))
            table.add_row(*head, letter["order_id"], letter["reason"])
        console.print(table)
    else:
        console.print("no dead letters")
    if len(letters) > SHOWN:
        console.print(f"the oldest {SHOWN} of {len(letters)}; --json has all")
    if pending:
        console.print(
            f"{pending} more are redriven, and their successors have not ended:"
            " `orders dead-letters history` has them"
        )


def show_closed(letters: Sequence[Mapping[str, Any]]) -> None:
    """Print the letters that were taken out of their queues, the newest last."""
    if not letters:
        console.print("no letters were closed in the last 14 days")
        return
    table = Table("id", "queue", "closed (UTC)", "state", "order", "what became of it")
    for letter in letters[-SHOWN:]:
        became = str(letter["outcome"])
        if letter["replaced_by"] is not None:
            became += f" (dead letter {letter['replaced_by']})"
        head = (letter["id"], letter["queue"], _moment(letter["closed"]))
        table.add_row(*head, letter["state"], letter["order_id"], became)
    console.print(table)
    if any(letter["state"] in ("DISCARDED", "EXPIRED") for letter in letters):
        console.print("`orders dead-letters undo ID` puts a discarded or expired one back")


def show_one(letter: Mapping[str, Any]) -> None:
    """Print one letter whole, with what was done with it."""
    grid = Table()
    for key in _FACTS:
        if letter.get(key) is not None:
            grid.add_row(Styled(key.replace("_", " "), "bold"), letter[key])
    for entry in letter.get("history", ()):
        grid.add_row(Styled(entry["what"].lower(), "bold"), _entry(letter, entry))
    console.print(grid)
    console.print_json(letter["body"])


def _entry(letter: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    """Return what was done with a letter in a line."""
    detail, said = entry["detail"], f"{entry['at']} by {entry['who']}"
    if entry["letter"] != letter["id"]:
        said += f", as dead letter {entry['letter']}"
    told = detail.get("reason") or detail.get("outcome") or detail.get("successor")
    if "before" in detail:
        told = ", ".join(_differences(detail["before"], detail["after"], ""))
    return f"{said}: {told}" if told else said


def _differences(before: Any, after: Any, path: str) -> list[str]:
    """Return which fields an edit has changed, each with what it was and what it is."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = [name for name in before if name in after] + [
            name for name in after if name not in before
        ]
        gone = [f"{path}{name} removed" for name in before if name not in after and path]
        return gone + [
            one
            for name in names
            for one in _differences(before.get(name), after[name], f"{path}{name}.")
        ]
    if before == after:
        return []
    return [f"{path.rstrip('.') or 'event'} {json.dumps(before)} -> {json.dumps(after)}"]


def show_answers(answers: Sequence[Mapping[str, Any]]) -> None:
    """Print what was done with each letter."""
    grid = Table()
    for answer in answers[:SHOWN]:
        message = answer["message"]
        if answer["state"] == "back" and answer.get("letter"):
            message = f"{message} (dead letter {answer['letter']})"
        style = _STYLES.get(answer["state"], "")
        grid.add_row(answer["id"], Styled(answer["state"], style), message)
    console.print(grid)
    if len(answers) > SHOWN:
        console.print(f"the first {SHOWN} of {len(answers)}; --json has all")


def _moment(at: str) -> str:
    """Return a time to the second, as a table has it."""
    return at[:19].replace("T", " ")
