"""The request of StartReplay: name, archive, destination and rules, checked as EventBridge does.

Source: EventBridge API Reference, StartReplay and ReplayDestination: the destination is the bus
that the archive was created of, and its rules.
"""

from typing import NamedTuple

from infra.errors import InvalidRequest
from infra.local.engine.replays import NAME
from infra.local.template.stack import Stack
from infra.server.bus_fields import PREFIX, bus_arn
from infra.server.fields import Request, text_of, time_of, violated

_PREFIX = f"{PREFIX}:"


class Replay(NamedTuple):
    """A checked request; ``rules`` are names, none for all rules."""

    name: str
    start: float
    end: float
    rules: list[str]


def read_replay(request: Request, stack: Stack) -> Replay:
    """Return the replay of a request.

    Raises
    ------
    InvalidRequest
        A field is missing or invalid, or names something else than the archive and its bus.
    """
    name = text_of(request, "ReplayName")
    if not NAME.fullmatch(name):
        pattern = f"Member must satisfy regular expression pattern: {NAME.pattern}"
        raise violated("replayName", name, pattern)
    start, end = (time_of(request, key) for key in ("EventStartTime", "EventEndTime"))
    _check_archive(text_of(request, "EventSourceArn"), stack)
    return Replay(name, start, end, _rules(request.get("Destination") or {}, stack))


def _check_archive(arn: str, stack: Stack) -> None:
    kind, _, archive = arn.removeprefix(_PREFIX).partition("/")
    if not arn.startswith(_PREFIX) or kind != "archive" or not archive:
        raise _invalid("EventSourceArn", "Must contain an ARN of an archive.")
    if archive != stack.archive:
        message = f"Archive {archive} does not exist; the archive is {stack.archive}."
        raise InvalidRequest("ResourceNotFoundException", message)


def _rules(destination: Request, stack: Stack) -> list[str]:
    """Return the names of a destination's rules."""
    arn, filters = destination.get("Arn"), destination.get("FilterArns") or []
    if not isinstance(filters, list) or not all(isinstance(rule, str) for rule in filters):
        raise InvalidRequest("SerializationException", "FilterArns is a list of ARNs")
    if not isinstance(arn, str) or not arn.startswith(f"{_PREFIX}event-bus/"):
        raise _invalid("Destination.Arn", "Must contain an event bus ARN.")
    if arn != bus_arn(stack):
        reason = f"Cross event bus replay is not permitted; the archive is of {stack.bus}."
        raise _invalid("Destination.Arn", reason)
    own = f"{_PREFIX}rule/{stack.bus}/"
    for rule in filters:
        if not rule.startswith(own):
            raise _invalid("Destination.FilterArns", f"{rule} is no rule of the bus {stack.bus}.")
    return [rule.removeprefix(own) for rule in filters]


def _invalid(field: str, reason: str) -> InvalidRequest:
    message = f"Parameter {field} is not valid. Reason: {reason}"
    return InvalidRequest("ValidationException", message)
