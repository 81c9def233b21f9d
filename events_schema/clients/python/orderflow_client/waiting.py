"""Wait until an order has ended, by the HTTP API."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from orderflow_client.errors import NoOutcome, OrderflowClientError, OrderRejected

ENDED = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0
"""Seconds between two questions: at first, and at most."""

SERVER_ERRORS = 500
"""The first status code of a server's errors."""

REQUEST_SECONDS = 10.0
"""Seconds after which one question is given up."""


class Unavailable(OrderflowClientError):
    """The HTTP API gave no answer; a later question may get one."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of an order; a failed one has the ``reason`` and a sentence, ``message``."""

    order_id: str
    status: str
    reason: str | None
    message: str | None
    order: dict[str, Any]


class OrderApi:
    """The HTTP API at an address; ``token`` returns an access token, or ``None``."""

    def __init__(
        self,
        url: str,
        token: Callable[[], str | None],
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"api_url: {url!r} is no address; send one such as https://…")
        self._url = url.rstrip("/")
        self._token = token
        self._sleep = sleep
        self._now = now

    def wait_for(self, order_id: str, event_id: str, seconds: float) -> Outcome:
        """Return the end of an order; ``event_id`` is the EventId of its event.

        Raises
        ------
        OrderRejected
            A consumer refused the event; on AWS a customer's token cannot read that of an
            ``Order Created``.
        NoOutcome
            The order did not end within ``seconds``.
        """
        until, wait = self._now() + seconds, FIRST_WAIT
        while True:
            try:
                order = self._order(order_id, event_id)
                state = "unknown yet" if order is None else order["status"]
            except Unavailable as error:
                order, state = None, f"unknown ({error})"
            if order is not None and state in ENDED:
                return _outcome(order)
            if self._now() + wait > until:
                raise NoOutcome(
                    f"order {order_id} is {state} after {seconds:g} s; ask again later, or give"
                    " wait_for more seconds"
                )
            self._sleep(wait)
            wait = min(LONGEST_WAIT, wait * 1.5)

    def _order(self, order_id: str, event_id: str) -> dict[str, Any] | None:
        """Return an order, or ``None`` for an unknown one; raise if its event was refused."""
        # the order may be an older one, of which this event is refused
        event = self._get(f"/events/{quote(event_id, safe='')}")
        if event is not None and event["outcome"] in ("rejected", "unmatched"):
            raise OrderRejected(event)
        return self._get(f"/orders/{quote(order_id, safe='')}")

    def _get(self, path: str) -> dict[str, Any] | None:
        """Return the answer to a GET, or ``None`` for 404."""
        headers = {"accept": "application/json"}
        token = self._token()
        if token:
            headers["authorization"] = f"Bearer {token}"
        request = Request(self._url + path, headers=headers)  # noqa: S310 - the scheme is checked
        try:
            with urlopen(request, timeout=REQUEST_SECONDS) as answer:  # noqa: S310 - as above
                body: dict[str, Any] = json.load(answer)
        except HTTPError as error:
            if error.code == HTTPStatus.NOT_FOUND:
                return None
            if error.code == HTTPStatus.TOO_MANY_REQUESTS or error.code >= SERVER_ERRORS:
                raise Unavailable(f"GET {path}: {error.code} {error.reason}") from None
            raise OrderflowClientError(
                f"GET {path}: {error.code} {error.reason}; check api_url and the token's scope"
            ) from None
        except (OSError, HTTPException) as error:
            raise Unavailable(f"{self._url} does not answer: {error}") from None
        return body


def _outcome(order: dict[str, Any]) -> Outcome:
    failure = order.get("failure") or {}
    return Outcome(
        order["order_id"], order["status"], failure.get("reason"), failure.get("message"), order
    )
