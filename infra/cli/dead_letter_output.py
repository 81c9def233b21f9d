"""Output of ``orders dead-letters``; text from outside is never interpreted as markup."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from infra.terminal.output import Styled, Table, console
from infra.views.dead_letter import DeadLetter, HistoryEntry

SHOWN = 200
"""Dead letters of a table; ``--json`` has all."""

_STYLES = {"done": "green", "sent": "green", "back": "yellow", "refused": "red"}
_FACTS = ("id", "queue", "since", "from", "order_id", "reason", "state", "outcome", "closed")


def show_open(dead_letters: Sequence[DeadLetter], pending: int) -> None:
    """Print the open dead letters, and the number of redriven ones without an outcome."""
    if dead_letters:
        table = Table("id", "queue", "since (UTC)", "order", "reason")
        for item in dead_letters[:SHOWN]:
            since = to_seconds(item.since)
            table.add_row(item.id, item.queue, since, item.order_id, item.reason)
        console.print(table)
    else:
        console.print("no dead letters")
    if len(dead_letters) > SHOWN:
        console.print(f"the oldest {SHOWN} of {len(dead_letters)}; --json has all")
    if pending:
        console.print(
            f"{pending} more are redriven, and their successors have not ended:"
            " see `orders dead-letters history`"
        )


def show_closed(dead_letters: Sequence[DeadLetter]) -> None:
    """Print the closed dead letters, the newest last."""
    if not dead_letters:
        console.print("no dead letters were closed in the last 14 days")
        return
    table = Table("id", "queue", "closed (UTC)", "state", "order", "outcome")
    for item in dead_letters[-SHOWN:]:
        assert item.closing is not None
        outcome = str(item.closing.outcome)
        if item.closing.replaced_by is not None:
            outcome += f" (dead letter {item.closing.replaced_by})"
        closed = to_seconds(item.closing.closed)
        table.add_row(item.id, item.queue, closed, item.closing.state, item.order_id, outcome)
    console.print(table)
    if any(
        item.closing and item.closing.state in ("DISCARDED", "EXPIRED") for item in dead_letters
    ):
        console.print("`orders dead-letters undo ID` restores a discarded or expired one")


def show_one(dead_letter: DeadLetter) -> None:
    """Print one dead letter with its history and its body."""
    facts = dead_letter.to_json()
    grid = Table()
    for key in _FACTS:
        if facts.get(key) is not None:
            grid.add_row(Styled(key.replace("_", " "), "bold"), facts[key])
    for entry in dead_letter.history or ():
        grid.add_row(Styled(entry.what.lower(), "bold"), _entry(dead_letter, entry))
    console.print(grid)
    console.print_json(dead_letter.body)


def _entry(dead_letter: DeadLetter, entry: HistoryEntry) -> str:
    """Return an operation on a dead letter in one line."""
    detail, line = entry.detail, f"{entry.at} by {entry.who}"
    if entry.letter != dead_letter.id:
        line += f", as dead letter {entry.letter}"
    result = detail.get("reason") or detail.get("outcome") or detail.get("successor")
    if "before" in detail:
        result = ", ".join(_differences(detail["before"], detail["after"], ""))
    return f"{line}: {result}" if result else line


def _differences(before: Any, after: Any, path: str) -> list[str]:
    """Return the fields that an edit has changed, each with its old and new value."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = [name for name in before if name in after] + [
            name for name in after if name not in before
        ]
        removed = [f"{path}{name} removed" for name in before if name not in after and path]
        return removed + [
            difference
            for name in names
            for difference in _differences(before.get(name), after[name], f"{path}{name}.")
        ]
    if before == after:
        return []
    return [f"{path.rstrip('.') or 'event'} {json.dumps(before)} -> {json.dumps(after)}"]


def show_answers(answers: Sequence[Mapping[str, Any]]) -> None:
    """Print the result of an operation for each dead letter."""
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


def to_seconds(at: str) -> str:
    """Return a time without fractions of a second."""
    return at[:19].replace("T", " ")
