"""The retry queue: runs that ended before they claimed an order are started again.

`order_processing` sends an event there if Lambda fails before the claim, since no record exists to
set WAITING.
"""

from math import inf

from kernel.errors import InvalidEvent, OrderflowError, StoreError
from kernel.order_record import Message
from kernel.quarantine import envelope_of, quarantined
from orders.usecases import Ports

FAILS_SINCE = "fails_since"
"""Member of a run's input: epoch seconds since which no run could claim the order."""

MAX_RESTARTS = 86_400.0
"""Seconds for which a run is started again before its event is quarantined."""


def take_message(body: str, message_id: str, ports: Ports) -> float:
    """Restart the run of a message; quarantine a message without an event.

    Return for how many seconds the run has failed to begin; infinity for a quarantined message.
    """
    try:
        return restart(body, message_id, ports)
    except InvalidEvent as error:
        _quarantine(body, error, ports)
        return inf


def restart(body: str, message_id: str, ports: Ports) -> float:
    """Restart a run that ended before its order was claimed; return for how long it has failed.

    The run's name follows from the message's id, so a second delivery starts nothing. After
    `MAX_RESTARTS` seconds the event is quarantined.

    Raises
    ------
    InvalidEvent
        The message is no event.
    """
    event, now = envelope_of(body), ports.now()
    since = event.get(FAILS_SINCE)
    if not isinstance(since, int | float):
        since = now
    if now - since > MAX_RESTARTS:
        late = StoreError("order_processing could not begin for a day; redrive the event")
        _quarantine(body, late, ports)
    else:
        run = {"name": f"again-{message_id}", "input": {**event, FAILS_SINCE: since}}
        ports.store.send(Message("run", run), now)
    return now - since


def _quarantine(body: str, error: OrderflowError, ports: Ports) -> None:
    queue = ports.quarantine_queue
    letter = quarantined(body, error, consumer="order_processing", queue=queue)
    ports.store.send(letter, ports.now())
