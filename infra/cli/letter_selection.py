"""The dead letters of a job: those of a cause, an order or a queue, or named by their ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import typer

from infra.cli.errors import CommandError
from infra.cli.local_dead_letters import LocalDeadLetters, number_of
from infra.errors import NotFound
from infra.terminal.output import Table, console
from infra.views.foreseen_redrive import NO_WAY_BACK, foreseen
from infra.views.health import plural
from infra.views.letter_groups import LetterFact, of_group

SHOWN = 10
"""Ids that a sentence names."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The options of ``orders dead-letters jobs start`` that choose dead letters.

    ``up_to`` is the largest id, ``most`` the number of the oldest that are taken.
    """

    ids: Sequence[str]
    group: str | None
    by: str
    order: str | None
    queue: str | None
    everything: bool
    up_to: int | None
    most: int

    def require_choice(self) -> None:
        """Raise `BadParameter` unless it says which dead letters."""
        narrowed = self.group or self.order or self.queue
        if bool(self.ids) + bool(narrowed) + self.everything != 1:
            raise typer.BadParameter(
                "name dead letters by --group, --order or --queue, by their ids, or say --all"
            )


@dataclass(frozen=True, slots=True)
class Selected:
    """The dead letters of a job, the oldest first; ``more`` chosen ones are left out."""

    ids: Sequence[int]
    label: str
    more: int


def select(place: LocalDeadLetters, wanted: Selection) -> Selected:
    """Return the open dead letters of a selection.

    Raises
    ------
    NotFound
        There is no such group, queue or dead letter.
    CommandError
        No dead letter is selected.
    """
    wanted.require_choice()
    if wanted.ids:
        return _named(place, wanted)
    facts = [LetterFact.of(letter, letter.id) for letter in place.open(wanted.queue)]
    cause = []
    if wanted.group is not None:
        facts = of_group(facts, wanted.by, wanted.group)
        if not facts:
            raise NotFound(
                f"there is no group {wanted.group!r} by {wanted.by}; see `orders dead-letters"
                f" groups --by {wanted.by}`"
            )
        cause = [facts[0].value(wanted.by)]
    ids = sorted(
        int(fact.id)
        for fact in facts
        if wanted.order in (None, fact.order_id)
        and (wanted.up_to is None or int(fact.id) <= wanted.up_to)
    )
    if not ids:
        raise CommandError("no open dead letter is selected; see `orders dead-letters list`")
    order = [f"order {wanted.order}"] if wanted.order else []
    queue = [wanted.queue] if wanted.queue else []
    return _bounded(ids, ", ".join(cause + order + queue), wanted)


def _named(place: LocalDeadLetters, wanted: Selection) -> Selected:
    ids = sorted({number_of(text) for text in wanted.ids})
    is_open = {letter.id for letter in place.open()}
    for number in ids:
        if number not in is_open:
            problem = f"there is no open dead letter {number}; see `orders dead-letters list`"
            raise NotFound(problem)
    return _bounded(ids, "", wanted)


def _bounded(ids: Sequence[int], label: str, wanted: Selection) -> Selected:
    taken = ids[: wanted.most]
    return Selected(taken, label or plural(len(taken), "dead letter"), len(ids) - len(taken))


def preview(
    place: LocalDeadLetters, action: str, selected: Selected, pace: float | None
) -> dict[str, Any]:
    """Print the effect of an action on selected dead letters, and return it."""
    reader = place.where.reader()
    found = foreseen(reader, place.stack, selected.ids)
    count = len(selected.ids)
    number = plural(count, "dead letter")
    console.print(f"{action} of {number}, the oldest {selected.ids[0]}: {selected.label}")
    result: dict[str, Any] = {
        "dry_run": True,
        "action": action,
        "label": selected.label,
        "letters": list(selected.ids),
        "not_taken": selected.more,
        "orders": dict(found.statuses),
    }
    if action == "redrive":
        _show_counts("destination", found.destinations)
        if found.stuck:
            named = ", ".join(map(str, found.stuck[:SHOWN]))
            more = ", …" if len(found.stuck) > SHOWN else ""
            console.print(f"{len(found.stuck):,} stay, with {NO_WAY_BACK}: {named}{more}")
        result |= {
            "destinations": dict(found.destinations),
            "no_way_back": list(found.stuck),
        }
    _show_counts("status of the order", found.statuses)
    if selected.more:
        console.print(f"{selected.more:,} newer ones stay open")
    if pace is not None and pace > 0:
        console.print(f"about {count / pace:,.0f} s at this pace")
    console.print(f"nothing was done; --up-to {selected.ids[-1]} selects no newer ones")
    return result


def _show_counts(heading: str, counts: Sequence[tuple[str, int]]) -> None:
    table = Table(heading, "number", right=("number",))
    for name, number in counts:
        table.add_row(name, f"{number:,}")
    console.print(table)
