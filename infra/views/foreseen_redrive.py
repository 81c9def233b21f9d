"""The foreseen effect of a redrive: the destination of each dead letter, and its order."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.dead_letters.reading import letters
from infra.dead_letters.router import (
    ToQueue,
    ToTarget,
    UnknownConsumer,
    in_words,
    route,
)
from infra.local.template.stack import Stack
from storage.sqlite.database import Database

NO_WAY_BACK = "no way back: send its event again by hand, or discard it"
UNKNOWN_ORDER = "no order known"


@dataclass(frozen=True, slots=True)
class Foreseen:
    """The effect of redriving dead letters, as counts of destinations and of orders' statuses."""

    destinations: tuple[tuple[str, int], ...]
    statuses: tuple[tuple[str, int], ...]
    stuck: tuple[int | str, ...]
    """The dead letters without a destination."""
    places: Mapping[Any, str]
    """The destination of each dead letter, by its id."""
    orders: Mapping[str, str]
    """The status of each known order."""


def foreseen(database: Database, stack: Stack, ids: Sequence[int]) -> Foreseen:
    """Return the effect of redriving these dead letters."""
    found = letters(database, stack.dead_letter_queues, ids) if ids else []
    places = {letter["id"]: destination_of(stack, letter) for letter in found}
    orders = {letter["order_id"] for letter in found if letter["order_id"]}
    known = _statuses(database, sorted(orders))
    statuses = Counter(known.values())
    unknown = len(orders) - sum(statuses.values()) + sum(not each["order_id"] for each in found)
    if unknown:
        statuses[UNKNOWN_ORDER] = unknown
    return Foreseen(
        tuple(Counter(places.values()).most_common()),
        tuple(statuses.most_common()),
        tuple(number for number, place in places.items() if place == NO_WAY_BACK),
        places,
        known,
    )


def _statuses(database: Database, orders: Sequence[str]) -> dict[str, str]:
    rows = database.rows(
        "select order_id, status from json_each(?) join orders on order_id = value",
        json.dumps(orders),
    )
    return {row["order_id"]: row["status"] for row in rows}


def destination_of(stack: Stack, letter: Mapping[str, Any]) -> str:
    """Return the destination of a dead letter in words; `NO_WAY_BACK` if it has none."""
    attributes = letter["attributes"]
    source, target = attributes.get("SOURCE_QUEUE"), attributes.get("TARGET")
    try:
        place = route(stack, letter["queue"], letter["body"], source=source, target=target)
    except (UnknownConsumer, AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return NO_WAY_BACK
    targets = {target.key for rule in stack.rules for target in rule.targets}
    is_lost = (isinstance(place, ToQueue) and place.queue not in stack.queues) or (
        isinstance(place, ToTarget) and place.target not in targets
    )
    return NO_WAY_BACK if is_lost else in_words(place)
