"""Invalid examples of each event: the first valid one with one mistake, and the errors it gets."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from infra.contracts.examples import JSON
from infra.contracts.sample_orders import examples
from kernel.errors import InvalidEvent
from kernel.events import parse

Change = Callable[[JSON, JSON], object]
"""A mistake in an envelope and its detail; returns False if the event cannot have it."""


@dataclass(frozen=True, slots=True)
class InvalidExample:
    """An event with a mistake; ``problems`` are all that the platform says of it."""

    name: str
    shows: str
    envelope: JSON
    problems: tuple[str, ...]

    def to_json(self) -> JSON:
        """Return the example for ``invalid.json``."""
        return {
            "name": self.name,
            "shows": self.shows,
            "event": self.envelope,
            "errors": list(self.problems),
        }


def invalid_examples(name: str) -> list[InvalidExample]:
    """Return the invalid examples of an event."""
    return list(_invalid(examples()[name][0].envelope))


def _invalid(valid: JSON) -> Iterator[InvalidExample]:
    for name, (shows, change) in _MISTAKES.items():
        envelope = deepcopy(valid)
        if change(envelope, envelope["detail"]) is False:
            continue
        try:
            parse(envelope)
        except InvalidEvent as error:
            problems = tuple(f"{field}: {problem}" for field, problem in error.problems)
            yield InvalidExample(name, shows, envelope, problems)


def _set(field: str, value: object) -> Change:
    """Return a mistake: another value of a field that the event has."""

    def change(_: JSON, detail: JSON) -> bool:
        has = field in detail
        if has:
            detail[field] = value
        return has

    return change


def _in_item(field: str, value: object) -> Change:
    def change(_: JSON, detail: JSON) -> bool:
        items: Any = detail.get("items")
        if not items:
            return False
        items[0][field] = value
        return True

    return change


def _empty(_: JSON, detail: JSON) -> bool:
    """Remove all that an update changes."""
    had = {"email", "shipping_address"} & detail.keys()
    if "customer_id" in detail or not had:
        return False
    for field in had:
        del detail[field]
    return True


def _newer(_: JSON, detail: JSON) -> None:
    detail["metadata"] = {**(detail.get("metadata") or {}), "schema_version": "99.0"}


def _wrong_total(_: JSON, detail: JSON) -> bool:
    if "items" not in detail or "total" not in detail:
        return False
    detail["total"] += 1
    return True


_MISTAKES: dict[str, tuple[str, Change]] = {
    "without-order-id": (
        "A required field is missing.",
        lambda _, detail: detail.pop("order_id"),
    ),
    "order-id-with-a-blank": ("An id has letters, digits, . _ and -.", _set("order_id", "A 1")),
    "time-without-zone": ("A time needs its zone.", _set("timestamp", "2026-01-31T12:00:00")),
    "newer-major-version": ("A newer major version is not known.", _newer),
    "another-source": (
        "Events have one source.",
        lambda envelope, _: envelope.update(source="shop.service"),
    ),
    "unknown-detail-type": (
        "No contract has this detail type.",
        lambda envelope, _: envelope.update({"detail-type": "Order Eaten"}),
    ),
    "total-is-not-the-sum": ("The total is the sum of the lines.", _wrong_total),
    "no-units": ("A line has one unit at least.", _in_item("quantity", 0)),
    "no-lines": ("An order has one line at least.", _set("items", [])),
    "unknown-currency": ("A currency is an ISO 4217 code.", _set("currency", "EURO")),
    "three-decimals": ("An amount has two decimals at most.", _in_item("unit_price", 1.005)),
    "email-without-domain": ("An address has a domain.", _set("email", "ada@example")),
    "nothing-to-change": ("An update changes something.", _empty),
    "several-mistakes": (
        "Every mistake is reported at once.",
        lambda _, detail: detail.update(order_id="", timestamp="today"),
    ),
}
"""By name: the subject of the example, and its mistake."""
