"""PutEvents: validates the entries of a request, and makes envelopes and errors as AWS does."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, cast

from infra.errors import InvalidRequest
from infra.local.template.loader import ACCOUNT, REGION
from kernel import json_text
from kernel.clock import timestamp
from kernel.time_ordered_id import time_ordered_id
from lambda_support.batches import MAX_BYTES, MAX_ENTRIES, entry_size


def checked_entries(entries: object) -> list[Mapping[str, Any]]:
    """Return a request's entries, or raise the error that AWS answers."""
    are_objects = isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)
    if not are_objects or not entries:
        raise _violated("Member must have length greater than or equal to 1")
    checked = cast("list[Mapping[str, Any]]", entries)
    if len(checked) > MAX_ENTRIES:
        raise _violated(f"Member must have length less than or equal to {MAX_ENTRIES}")
    for number, entry in enumerate(checked):
        _check_time(number, entry.get("Time"))
    size = sum(entry_size(entry) for entry in checked)
    if size > MAX_BYTES:
        over = f"over the limit: {size} bytes of {MAX_BYTES}."
        message = f"Total size of the entries in the request is {over}"
        raise InvalidRequest("ValidationException", message)
    return checked


def refusal_of(entry: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the error of an entry's fields, if one is invalid; the detail is not parsed."""
    for name in ("Source", "DetailType", "Detail"):
        if not entry.get(name):
            return invalid(name, f"{name} is a required argument.")
    for name in ("Source", "DetailType"):
        if not isinstance(entry[name], str):
            return invalid(name, f"{name} is text.")
    if entry["Source"].startswith("aws."):
        message = "Not authorized for the source."
        return {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": message}
    resources = entry.get("Resources") or []
    if not isinstance(resources, list) or not all(isinstance(arn, str) for arn in resources):
        return invalid("Resources", "Resources is a list of ARNs.")
    return None


EXTERNAL = {"origin": "external"}
"""A mark in the envelope of a fact that no service published: the bus policy refuses it on AWS.

One machine takes it, since a file of events can be replayed here; the analysts' views leave it out.
"""


def head_of(entry: Mapping[str, Any], time: str, now: float) -> dict[str, Any]:
    """Return an event's envelope without its detail; its id begins with its arrival."""
    return {
        "version": "0",
        "id": time_ordered_id(now),
        "detail-type": entry["DetailType"],
        "source": entry["Source"],
        "account": ACCOUNT,
        "time": time,
        "region": REGION,
        "resources": entry.get("Resources") or [],
    }


def time_of(time: object, now: float) -> str:
    """Return an event's time, to the second as in EventBridge."""
    moment = now
    if isinstance(time, int | float):
        moment = float(time)
    elif isinstance(time, str):
        parsed = datetime.fromisoformat(time.upper())
        moment = parsed.replace(tzinfo=parsed.tzinfo or UTC).timestamp()
    return timestamp(moment).split(".")[0] + "Z"


def failure_of(error: Exception) -> dict[str, str]:
    """Return the answer for a valid event that could not be journalled."""
    if isinstance(error, InvalidRequest):
        return invalid("Detail", str(error))
    message = f"The event could not be processed: {type(error).__name__}."
    return {"ErrorCode": "InternalFailure", "ErrorMessage": message}


def invalid(name: str, reason: str) -> dict[str, str]:
    """Return the error of an entry with an invalid parameter."""
    message = f"Parameter {name} is not valid. Reason: {reason}"
    return {"ErrorCode": "InvalidArgument", "ErrorMessage": message}


def _check_time(number: int, time: object) -> None:
    """Raise `InvalidRequest` for a time that is neither epoch seconds nor ISO 8601 text."""
    is_time = time is None or (isinstance(time, int | float) and not isinstance(time, bool))
    if isinstance(time, str):
        with suppress(ValueError):
            datetime.fromisoformat(time.upper())
            is_time = True
    if not is_time:
        shown = json_text.write(time).decode()[:80]
        message = f"Entries[{number}].Time {shown} is no time; send epoch seconds or ISO 8601."
        raise InvalidRequest("SerializationException", message)


def _violated(constraint: str) -> InvalidRequest:
    message = "1 validation error detected: Value at 'entries' failed to satisfy constraint:"
    return InvalidRequest("ValidationException", f"{message} {constraint}")
