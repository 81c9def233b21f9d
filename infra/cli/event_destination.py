"""Destinations of events: the local journal, the server that has it open, or EventBridge."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from infra.cli.errors import CommandError
from infra.cli.event_files import Line
from infra.contracts.snippets import BUS
from infra.deployed.account import Account, translate_errors
from infra.local.clock import Clock
from infra.local.directory.data_directory import DataDirectory
from infra.local.engine.engine import Engine
from infra.local.platform import platform

Entry = dict[str, Any]
"""An entry of a PutEvents request."""

ATTEMPTS = 5
"""How often failed entries are sent before a command gives up."""

_LONGEST_WAIT = 8.0

_RETRYABLE = frozenset({"InternalException", "InternalFailure", "ThrottlingException"})
"""Error codes of entries that are worth a retry (EventBridge, PutEventsResultEntry)."""


IN_THE_JOURNAL = (
    "They are in the journal. `orders serve` processes them; `orders run --count 0`"
    " processes the due work and lists the remaining waits"
)
"""The sentence about events that a `JournalDestination` has accepted."""


class EventDestination(Protocol):
    """A receiver of PutEvents requests."""

    where: str

    def put(self, entries: Sequence[Entry]) -> list[dict[str, Any]]:
        """Return PutEvents' result for each entry."""


class JournalDestination:
    """The journal of a data directory; ``orders run`` or ``orders serve`` processes its events.

    The first event ends the directory's time as a sandbox (`infra.local.directory.sandbox`).
    """

    def __init__(self, engine: Engine, where: DataDirectory) -> None:
        self.engine = engine
        self.engine.accept_only = True
        self.where = str(where.root)

    def put(self, entries: Sequence[Entry]) -> list[dict[str, Any]]:
        """Return PutEvents' result for each entry."""
        answer = self.engine.call(lambda now: self.engine.put_events(list(entries), now))
        self.engine.turn(0)
        results: list[dict[str, Any]] = answer.result(0)["Entries"]
        return results


class EventBridgeDestination:
    """EventBridge through boto3: on AWS, or at an endpoint such as that of ``orders serve``."""

    def __init__(self, account: Account) -> None:
        self.client = account.client("events")
        self.where = account.where
        if account.endpoint_url is None:
            self._require_bus()

    def put(self, entries: Sequence[Entry]) -> list[dict[str, Any]]:
        """Return PutEvents' result for each entry."""
        with translate_errors(
            f"EventBridge at {self.where}", "deploy the stack, or correct --region"
        ):
            results: list[dict[str, Any]] = self.client.put_events(Entries=entries)["Entries"]
        return results

    def _require_bus(self) -> None:
        """Raise `AWSError` if the bus does not exist: AWS accepts events for it and drops them.

        A caller with PutEvents may lack DescribeEventBus, so AccessDenied is ignored.
        """
        from botocore.exceptions import ClientError

        with translate_errors(
            f"the bus {BUS}", "deploy the stack, or name its --region or --profile"
        ):
            try:
                self.client.describe_event_bus(Name=BUS)
            except ClientError as error:
                if error.response["Error"]["Code"] != "AccessDeniedException":
                    raise


@contextmanager
def open_destination(where: DataDirectory, account: Account | None) -> Iterator[EventDestination]:
    """Open the bus of an account or, without an account, the local bus."""
    served = where.served_at() if account is None else None
    if account is not None or served:
        yield EventBridgeDestination(account or Account(served, token=where.token()))
        return
    with platform(where, clock=Clock(), workers=0) as engine:
        yield JournalDestination(engine, where)


def to_entry(line: Line, bus: str) -> Entry:
    """Return the PutEvents entry of an event from a file."""
    return {"EventBusName": bus, **(line.entry or {})}


def put_all(destination: EventDestination, entries: Sequence[Entry]) -> int:
    """Put a batch, with retries of its failed entries alone; return how many were accepted.

    Raises
    ------
    CommandError
        An entry failed at every attempt; the message has the first error.
    """
    pending = list(entries)
    failed: list[tuple[Entry, dict[str, Any]]] = []
    for attempt in range(ATTEMPTS):
        results = destination.put(pending)
        failed = [
            (entry, result)
            for entry, result in zip(pending, results, strict=True)
            if "ErrorCode" in result
        ]
        if not failed:
            return len(entries)
        if not any(result["ErrorCode"] in _RETRYABLE for _, result in failed):
            break
        pending = [entry for entry, _ in failed]
        time.sleep(random.uniform(0, min(_LONGEST_WAIT, 0.2 * 2**attempt)))  # noqa: S311
    error = failed[0][1]
    raise CommandError(
        f"{len(failed)} of {len(entries)} events were not accepted by {destination.where}:"
        f" {error['ErrorCode']}: {error.get('ErrorMessage', '')}"
    )
