"""The events that a replay takes: by rule, pattern, field and time."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from infra.cli.errors import CommandError
from infra.dead_letters.edit import ENVELOPE
from infra.local.template.stack import Rule, Stack
from infra.patterns import InvalidPattern, Pattern, TooComplexEvent, compile_pattern
from kernel.json_text import InvalidJSON, read, write


class Selection:
    """Conditions that an event of a replay meets.

    Parameters
    ----------
    filters
        Event patterns in JSON, or ``field=value``; all must match.
    rules
        Rules; one of them must match. Without any, none needs to.
    since, until
        Bounds of the event's time in epoch seconds; ``until`` is excluded.
    """

    def __init__(
        self,
        filters: Sequence[Pattern] = (),
        rules: Sequence[Rule] = (),
        since: float | None = None,
        until: float | None = None,
    ) -> None:
        self.filters = filters
        self.rules = rules
        self.since = since
        self.until = until

    def takes(self, envelope: Mapping[str, Any]) -> bool:
        """Return whether an event meets all conditions; one without a time meets no time bound."""
        if self.since is not None or self.until is not None:
            at = event_time(envelope)
            if at is None or not (self.since or 0.0) <= at < (self.until or float("inf")):
                return False
        try:
            if not all(pattern.matches(envelope) for pattern in self.filters):
                return False
            return not self.rules or any(rule.pattern.matches(envelope) for rule in self.rules)
        except TooComplexEvent as error:
            raise CommandError(str(error)) from None


def event_time(envelope: Mapping[str, Any]) -> float | None:
    """Return the time of an event's envelope, or of its detail, in epoch seconds."""
    detail = envelope.get("detail")
    stated = detail.get("timestamp") if isinstance(detail, Mapping) else None
    for text in (envelope.get("time"), stated):
        if isinstance(text, str):
            try:
                at = datetime.fromisoformat(text)
            except ValueError:
                continue
            return at.replace(tzinfo=at.tzinfo or UTC).timestamp()
    return None


def parse_filter(text: str) -> Pattern:
    """Return the pattern in a ``--filter``: JSON, or ``field=value`` such as ``customer_id=C-1``.

    A field that is no field of the envelope is one of the detail.
    """
    if text.lstrip().startswith("{"):
        source = text
    else:
        field, equals, value = text.partition("=")
        if not equals or not field.strip():
            raise CommandError(
                f"--filter: {text!r} is no pattern in JSON and no field=value such as"
                " order_id=A-1001"
            )
        source = _pattern_of(field.strip().split("."), value)
    try:
        return compile_pattern(source)
    except InvalidPattern as error:
        raise CommandError(f"--filter: {error}") from None


def _pattern_of(path: list[str], value: str) -> str:
    if path[0] not in ENVELOPE:
        path = ["detail", *path]
    try:
        literal = read(value)
    except InvalidJSON:
        literal = value
    accepted: list[Any] = [value]
    if isinstance(literal, int | float) and not isinstance(literal, bool):
        accepted.append({"numeric": ["=", literal]})
    elif literal is None or isinstance(literal, bool | str):
        accepted.append(literal)
    node: Any = accepted
    for step in reversed(path):
        node = {step: node}
    return write(node).decode()


def find_rules(stack: Stack, names: Sequence[str]) -> list[Rule]:
    """Return rules by their names in the template.

    Raises
    ------
    CommandError
        The template has no such rule.
    """
    known = {rule.name: rule for rule in stack.rules}
    for name in names:
        if name not in known:
            raise CommandError(f"--rule: {name!r} does not exist; the rules are {', '.join(known)}")
    return [known[name] for name in names]
