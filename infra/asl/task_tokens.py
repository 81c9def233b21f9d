"""Task tokens: a task with ``.waitForTaskToken`` ends when its token is sent back.

A token has the execution's ARN, so that the host finds the execution, and 32 random bytes, so that
it cannot be guessed. It is valid once, until the task succeeds, fails, times out or is cancelled.

Source: "Wait for a Callback with Task Token" in the AWS Step Functions Developer Guide.
"""

import binascii
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Protocol, TypeVar

from infra.asl.errors import HEARTBEAT_TIMEOUT, TIMEOUT, StateFailure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from infra.asl.expressions.values import JSON

T = TypeVar("T", bound="Waiting")

PATTERN = ".waitForTaskToken"
"""The suffix of the resource of a task that waits."""

CALLBACKS = frozenset({"sqs:sendMessage", "events:putEvents"})
"""The integrations that can pass a token on."""

LONGEST = 99_999_999.0
"""Seconds that a task waits by default (Amazon States Language, TimeoutSeconds of a Task)."""

MAX_TOKEN = 2_048
"""Maximum characters of a token (Step Functions API Reference, TaskToken)."""

_SECRET_BYTES = 32


class Waiting(Protocol):
    """A frame, which waits for a token or for another event."""

    token: int
    callback: "dict[str, JSON] | None"


def begun(
    context: "Mapping[str, JSON]", now: float, timeout: float | None, heartbeat: float | None
) -> "dict[str, JSON]":
    """Return the callback of a task that begins, with a new token; its parameters may read it."""
    execution = context.get("Execution", {}).get("Id", "")
    text = f"{execution}#{secrets.token_hex(_SECRET_BYTES)}"
    return {
        "token": urlsafe_b64encode(text.encode()).decode(),
        "times_out_at": now + (LONGEST if timeout is None else timeout),
        "heartbeat": heartbeat,
        "submitted": False,
    }


def due(callback: "dict[str, JSON]", now: float) -> float:
    """Return when a task that waits has timed out, unless it sends a heartbeat before."""
    heartbeat, end = callback["heartbeat"], float(callback["times_out_at"])
    return end if heartbeat is None else min(end, now + heartbeat)


def timeout_of(callback: "dict[str, JSON]", now: float) -> StateFailure:
    """Return the failure of a task whose timer has fired."""
    return StateFailure(TIMEOUT if now >= callback["times_out_at"] else HEARTBEAT_TIMEOUT, None)


def execution_of(token: str) -> str | None:
    """Return the ARN of the execution that a token belongs to; None if it is no token."""
    try:
        arn, mark, _ = urlsafe_b64decode(token.encode()).decode().partition("#")
    except (binascii.Error, ValueError):
        return None
    return arn if mark and len(token) <= MAX_TOKEN else None


def frame_of(frames: "Iterable[T]", token: str) -> "T | None":
    """Return the frame that waits for a token; None if its task has ended."""
    for frame in frames:
        callback = frame.callback
        if callback and callback["submitted"] and hmac.compare_digest(callback["token"], token):
            return frame
    return None
