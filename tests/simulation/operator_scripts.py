"""The scripts of operators in a seed: the steps of each, and when it begins."""

from collections.abc import Iterator
from typing import Any

from tests.simulation.dice import Dice

OPERATE = "operate"
PRESENT = 0.5
"""Probability that a seed has operators."""

REFUSED = 5
"""Maximum number of events of such a seed that become dead letters in any case."""

MOST = 5
"""Maximum number of scripts of a seed."""

SPREADS = (60.0, 60.0, 400.0, 2_000.0)
"""Seconds within which a script begins."""

SCRIPTS: tuple[tuple[float, tuple[str, ...]], ...] = (
    (2, ("redrive",)),
    (1, ("discard",)),
    (2, ("discard", "restore")),
    (1, ("discard", "restore", "restore", "redrive")),
    (1, ("discard", "restore", "discard")),
    (1, ("redrive", "restore")),
    (3, ("edit", "redrive")),
    (1, ("edit", "edit", "redrive", "edit")),
    (1, ("spoil", "redrive")),
    (1, ("edit", "discard", "restore", "redrive")),
    (2, ("redrive group",)),
    (1, ("redrive group", "pause", "resume")),
    (1, ("redrive group", "pause", "cancel", "resume")),
    (2, ("redrive group", "cancel", "cancel")),
    (2, ("discard group", "undo")),
    (1, ("discard group", "pause", "resume", "undo", "undo")),
    (2, ("discard group", "cancel", "undo")),
    (1, ("discard group", "undo", "cancel undo", "undo")),
    (1, ("discard group", "restore", "undo")),
    (1, ("discard group", "restore", "discard", "undo")),
    (2, ("replay",)),
    (1, ("replay", "pause replay", "resume replay")),
    (1, ("replay", "pause replay", "cancel replay")),
    (1, ("replay", "cancel replay", "resume replay")),
)
"""The steps of operators, each script with its weight; the first step chooses its dead letters."""

RIVALS = ("redrive", "discard", "edit", "restore", "redrive group", "discard group")
"""The requests of other operators on the same dead letters, in the same turn."""


def present(dice: Dice) -> bool:
    """Return whether a seed has operators."""
    return dice.happens(PRESENT, "operators")


def refused(dice: Dice) -> Iterator[tuple[float, str]]:
    """Yield the times and the orders of events that become dead letters, and that can be mended."""
    if present(dice):
        for number in range(1 + int(dice.roll("refused") * REFUSED)):
            yield dice.roll("refused at", number) * SPREADS[0], f"D-{number}"


def scripts(dice: Dice) -> Iterator[tuple[float, dict[str, Any]]]:
    """Yield the operators' scripts of a seed: the time of each, and its steps."""
    if not present(dice):
        return
    for number in range(MOST):
        site = ("operator", number)
        if not dice.happens(0.75, *site):
            continue
        body: dict[str, Any] = {"number": number, "steps": list(_script(dice, site))}
        if dice.happens(0.3, *site, "rival"):
            body["rival"] = dice.pick(RIVALS, *site, "whose")
        yield dice.roll(*site, "at") * dice.pick(SPREADS, *site, "spread"), body


def _script(dice: Dice, site: tuple[object, ...]) -> tuple[str, ...]:
    rest = dice.roll(*site, "script") * sum(weight for weight, _ in SCRIPTS)
    for weight, steps in SCRIPTS:
        rest -= weight
        if rest < 0:
            return steps
    raise AssertionError(rest)
