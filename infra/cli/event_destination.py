"""Where events are put: this machine's journal, the server that has it open, or AWS."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from infra.cli.batching import Entry
from infra.cli.errors import CommandError
from infra.contracts.snippets import BUS
from infra.deployed.account import Account, translate_errors
from infra.local.clock import Clock
from infra.local.directory.data_directory import DataDirectory
from infra.local.engine.engine import Engine
from infra.local.platform import platform

ATTEMPTS = 5
"""How often failed entries are sent again before a command gives up."""

_LONGEST_WAIT = 8.0

_PASSING = frozenset({"InternalException", "InternalFailure", "ThrottlingException"})
"""Codes of entries that may be accepted another time (EventBridge, PutEventsResultEntry)."""


class EventDestination(Protocol):
    """Takes PutEvents requests."""

    where: str

    def put(self, entries: Sequence[Entry]) -> list[dict[str, Any]]:
        """Return PutEvents' answer for each entry."""


class JournalOutlet:
    """The journal of this machine; ``orders run`` or ``orders serve`` works off what it takes.

    Its directory is a real one from the first event on (`infra.local.directory.sandbox`).
    """

    def __init__(self, engine: Engine, where: DataDirectory) -> None:
        self.engine = engine
        self.engine.accept_only = True
        self.where = str(where.root)

    def put(self, entries: Sequence[Entry]) -> list[dict[str, Any]]:
        """Return PutEvents' answer for each entry."""
        answer = self.engine.call(lambda now: self.engine.put_events(list(entries), now))
        self.engine.turn(0)
        results: list[dict[str, Any]] = answer.result(0)["Entries"]
        return results


class ClientOutlet:
    """EventBridge through boto3: on AWS, or at an endpoint such as ``orders serve``'s."""

    def __init__(self, account: Account) -> None:
        self.client = account.client("events")
        self.where = account.where
        if account.endpoint_url is None:
            self._require_bus()

    def put(self, entries: Sequence[Entry]) -> list[dict[str, Any]]:
        """Return PutEvents' answer for each entry."""
        with translate_errors(
            f"EventBridge at {self.where}", "deploy the stack, or correct --region"
        ):
            answer: list[dict[str, Any]] = self.client.put_events(Entries=entries)["Entries"]
        return answer

    def _require_bus(self) -> None:
        """Raise `CommandError` if there is no such bus: AWS accepts events for it and drops them.

        Who may put events may perhaps not ask for the bus; that is no reason to refuse them.
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
def outlet(where: DataDirectory, account: Account | None) -> Iterator[EventDestination]:
    """Open the outlet to an account; without one, this machine's."""
    served = where.served_at() if account is None else None
    if account is not None or served:
        yield ClientOutlet(account or Account(served, token=where.token()))
        return
    with platform(where, clock=Clock(), workers=0) as engine:
        yield JournalOutlet(engine, where)


def put_all(outlet: EventDestination, entries: Sequence[Entry]) -> int:
    """Put a batch, sending only failed entries again; return how many were accepted.

    Raises
    ------
    CommandError
        Some entry was never accepted; the first error is named.
    """
    left = list(entries)
    failed: list[tuple[Entry, dict[str, Any]]] = []
    for attempt in range(ATTEMPTS):
        answers = outlet.put(left)
        failed = [
            (entry, answer)
            for entry, answer in zip(left, answers, strict=True)
            if "ErrorCode" in answer
        ]
        if not failed:
            return len(entries)
        if not any(answer["ErrorCode"] in _PASSING for _, answer in failed):
            break
        left = [entry for entry, _ in failed]
        time.sleep(random.uniform(0, min(_LONGEST_WAIT, 0.2 * 2**attempt)))  # noqa: S311
    error = failed[0][1]
    raise CommandError(
        f"{len(failed)} of {len(entries)} events were not accepted by {outlet.where}:"
        f" {error['ErrorCode']}: {error.get('ErrorMessage', '')}"
    )
