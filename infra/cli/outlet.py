"""Where events are put: this machine's journal, the server that has it open, or AWS."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from infra.cli.feed import Entry
from infra.cli.output import CommandError
from infra.local.clock import Clock
from infra.local.datadir import DataDirectory
from infra.local.engine import Engine
from infra.local.platform import platform
from infra.local.template import REGION

ATTEMPTS = 5
"""How often failed entries are sent again before a command gives up."""

_LONGEST_WAIT = 8.0


class Outlet(Protocol):
    """Takes PutEvents requests."""

    where: str

    def put(self, entries: Sequence[Entry]) -> list[dict[str, Any]]:
        """Return PutEvents' answer for each entry."""


class JournalOutlet:
    """The journal of this machine; ``orders run`` or ``orders serve`` works off what it takes."""

    def __init__(self, engine: Engine, where: DataDirectory) -> None:
        self.engine = engine
        self.engine.only_journals = True
        self.where = str(where.root)

    def put(self, entries: Sequence[Entry]) -> list[dict[str, Any]]:
        """Return PutEvents' answer for each entry."""
        answer = self.engine.call(lambda now: self.engine.bus.put(list(entries), now))
        self.engine.turn(0)
        results: list[dict[str, Any]] = answer.result(0)["Entries"]
        return results


class ClientOutlet:
    """EventBridge through boto3: on AWS, or at an endpoint such as ``orders serve``'s."""

    def __init__(self, client: Any, where: str) -> None:
        self.client = client
        self.where = where

    def put(self, entries: Sequence[Entry]) -> list[dict[str, Any]]:
        """Return PutEvents' answer for each entry."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer: list[dict[str, Any]] = self.client.put_events(Entries=entries)["Entries"]
        except (BotoCoreError, ClientError) as error:
            raise CommandError(f"{self.where} did not take the events: {error}") from None
        return answer


@contextmanager
def outlet(
    where: DataDirectory, endpoint_url: str | None, profile: str | None, region: str | None
) -> Iterator[Outlet]:
    """Open the outlet that the options ask for; without any, this machine's."""
    if endpoint_url or profile or region:
        yield ClientOutlet(events_client(endpoint_url, profile, region), endpoint_url or "AWS")
        return
    served = where.served_at()
    if served:
        yield ClientOutlet(events_client(served, None, None), served)
        return
    with platform(where, clock=Clock(), workers=0) as engine:
        yield JournalOutlet(engine, where)


def events_client(endpoint_url: str | None, profile: str | None, region: str | None) -> Any:
    """Return an EventBridge client; this machine's endpoint takes any credentials."""
    import boto3
    from botocore.exceptions import BotoCoreError

    own = endpoint_url is not None and profile is None
    key = "local" if own else None
    try:
        session = boto3.Session(
            profile_name=profile,
            region_name=region or (REGION if own else None),
            aws_access_key_id=key,
            aws_secret_access_key=key,
        )
        return session.client("events", endpoint_url=endpoint_url)
    except BotoCoreError as error:
        raise CommandError(f"no client for EventBridge: {error}") from None


def put_all(outlet: Outlet, entries: Sequence[Entry]) -> int:
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
        left = [entry for entry, _ in failed]
        time.sleep(random.uniform(0, min(_LONGEST_WAIT, 0.2 * 2**attempt)))  # noqa: S311
    error = failed[0][1]
    raise CommandError(
        f"{len(failed)} of {len(entries)} events were not accepted by {outlet.where}:"
        f" {error['ErrorCode']}: {error.get('ErrorMessage', '')}"
    )
