"""Publish order events to the bus: validated, in batches, each failed entry again."""

import json
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from orderflow_client.errors import InvalidEvent, NotPublished
from orderflow_client.validation import MAX_BYTES, SOURCE, problems_of
from orderflow_client.waiting import OrderApi, Outcome

MAX_ENTRIES = 10
"""Entries of one PutEvents request (EventBridge, PutEvents)."""

FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0
"""Bounds in seconds of the exponential backoff between attempts, with full jitter."""

_PASSING = ("Throttling", "Internal", "ServiceUnavailable", "LimitExceeded", "Timeout")
"""Beginnings of the error codes that may pass; any other entry would be refused again."""

Detail = Mapping[str, Any]


class EventsClient(Protocol):
    """The part of boto3's client of EventBridge that is used here."""

    def put_events(self, *, Entries: Sequence[Mapping[str, str]]) -> Mapping[str, Any]:  # noqa: N803 - AWS's name
        """Put events on the bus."""


@dataclass(frozen=True, slots=True)
class Sent:
    """An event that the bus has taken; ``event_id`` is its EventId."""

    order_id: str
    event_id: str


class OrderPublisher:
    """A publisher of order events; one object may be used by several threads.

    Parameters
    ----------
    endpoint_url
        Address of `orders serve`, such as ``http://127.0.0.1:8080``. Absent on AWS.
    api_url
        Address of the HTTP API, for `wait_for`; the default is ``endpoint_url``.
    token
        An access token of the HTTP API, or a function that returns one.
    bus
        Name of the bus.
    client
        boto3's client of EventBridge; by default one is made.
    attempts
        Attempts for an entry that fails for a reason that may pass.
    """

    def __init__(  # noqa: PLR0913 - each is an option
        self,
        *,
        endpoint_url: str | None = None,
        api_url: str | None = None,
        token: str | Callable[[], str | None] | None = None,
        bus: str = "orders-bus",
        client: EventsClient | None = None,
        attempts: int = 6,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client or _boto3_client(endpoint_url, token)
        self._bus = bus
        self._attempts = attempts
        self._sleep = sleep
        url = api_url or endpoint_url
        read = token if callable(token) else lambda: token
        self._api = OrderApi(url, read, sleep) if url else None

    def place(self, detail: Detail) -> Sent:
        """Publish `Order Created`; a repetition is the same order."""
        return self.publish([("Order Created", detail)])[0]

    def update(self, detail: Detail) -> Sent:
        """Publish `Order Updated`: a new address, e-mail address, or both."""
        return self.publish([("Order Updated", detail)])[0]

    def cancel(self, order_id: str, reason: str | None = None) -> Sent:
        """Publish `Order Cancelled`, as of now."""
        detail = {"order_id": order_id, "timestamp": _now()}
        more = {"reason": reason} if reason else {}
        return self.publish([("Order Cancelled", {**detail, **more})])[0]

    def publish(self, events: Iterable[tuple[str, Detail]]) -> list[Sent]:
        """Publish events, each a detail type and a detail; return one `Sent` for each.

        Raises
        ------
        InvalidEvent
            An event breaks its contract. None of the events was sent.
        NotPublished
            The bus did not take some events at the last attempt; it took the others.
        """
        chosen = list(events)
        for number, (detail_type, detail) in enumerate(chosen):
            problems = problems_of(detail_type, detail)
            if problems:
                raise InvalidEvent(number, problems)
        pending = {number: self._entry(*event) for number, event in enumerate(chosen)}
        taken: dict[int, str] = {}
        refused: dict[int, str] = {}
        for attempt in range(self._attempts):
            if attempt:
                self._sleep(_backoff(attempt))
            for batch in _batches(pending):
                self._put(batch, taken, refused)
            pending = {number: entry for number, entry in pending.items() if number not in taken}
            pending = {number: pending[number] for number in pending if _may_pass(refused[number])}
            if not pending:
                break
        refused = {number: why for number, why in refused.items() if number not in taken}
        if refused:
            raise NotPublished(refused)
        return [
            Sent(str(detail["order_id"]), taken[number])
            for number, (_, detail) in enumerate(chosen)
        ]

    def wait_for(self, sent: Sent, seconds: float = 60.0) -> Outcome:
        """Return the end of the order of an event that was sent.

        Raises
        ------
        OrderRejected
            A consumer refused the event.
        NoOutcome
            The order did not end within ``seconds``: it may wait for stock for an hour.
        ValueError
            The publisher has neither ``api_url`` nor ``endpoint_url``.
        """
        if self._api is None:
            raise ValueError("api_url: is missing; give the address of the HTTP API")
        return self._api.wait_for(sent.order_id, sent.event_id, seconds)

    def _entry(self, detail_type: str, detail: Detail) -> dict[str, str]:
        text = json.dumps(detail, ensure_ascii=False)
        own = {"EventBusName": self._bus, "Source": SOURCE}
        return {**own, "DetailType": detail_type, "Detail": text}

    def _put(
        self, batch: Mapping[int, dict[str, str]], taken: dict[int, str], refused: dict[int, str]
    ) -> None:
        try:
            answer = self._client.put_events(Entries=list(batch.values()))
        except _sdk_errors() as error:  # of the whole request, after the SDK's own attempts
            refused |= dict.fromkeys(batch, _reason(error))
            return
        for number, result in zip(batch, answer["Entries"], strict=True):
            if "ErrorCode" in result:
                refused[number] = f"{result['ErrorCode']}: {result.get('ErrorMessage', '')}"
            else:
                taken[number] = result["EventId"]


def _batches(entries: Mapping[int, dict[str, str]]) -> Iterator[dict[int, dict[str, str]]]:
    """Yield the entries of one request each, by count and size."""
    batch: dict[int, dict[str, str]] = {}
    total = 0
    for number, entry in entries.items():
        size = sum(len(entry[key].encode()) for key in ("Source", "DetailType", "Detail"))
        if batch and (len(batch) == MAX_ENTRIES or total + size > MAX_BYTES):
            yield batch
            batch, total = {}, 0
        batch[number] = entry
        total += size
    if batch:
        yield batch


def _sdk_errors() -> tuple[type[Exception], ...]:
    """Return the SDK's errors; they are imported only when a request fails."""
    from botocore.exceptions import BotoCoreError, ClientError

    return BotoCoreError, ClientError


def _reason(error: Exception) -> str:
    """Return the reason of a failed request as that of an entry: its code, and a sentence."""
    told = getattr(error, "response", {}).get("Error", {})
    return f"{told.get('Code', type(error).__name__)}: {told.get('Message', error)}"


def _may_pass(reason: str) -> bool:
    return reason.startswith(_PASSING)


def _backoff(attempt: int) -> float:
    return random.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2**attempt))  # noqa: S311 - jitter


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _boto3_client(
    endpoint_url: str | None, token: str | Callable[[], str | None] | None
) -> EventsClient:
    """Return a client of EventBridge; `orders serve` needs no credentials but a client does."""
    import boto3

    if endpoint_url is None:
        client: EventsClient = boto3.client("events")
        return client
    local: EventsClient = boto3.client(
        "events",
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 - no secret: one machine asks for none
        aws_session_token=token() if callable(token) else token,
    )
    return local
