"""The destination of a redriven dead letter, the same on one machine and on AWS.

==============================================  ===================================================
dead letter                                     destination
==============================================  ===================================================
given up by a queue                             `ToQueue`: that queue
given up at a rule's target                     `ToTarget`: that target
in the attention queue                          `ToOrder`: a run that takes its order over
of ``order_processing``, with its event         `ToRun`: a run with that event
of the relay (AWS only)                         `ToReconciler`: the outbox still has the messages
of a function without a queue (AWS only)        `ToFunction`: that function, with the same payload
of another consumer, with its event             `ToQueue`: that consumer's queue
==============================================  ===================================================
"""

import json
from typing import Any, NamedTuple

from infra.dead_letters.reason import ATTENTION
from infra.local.orderflow import ORDERFLOW
from infra.local.template.stack import Stack

PROCESSOR = ORDERFLOW.order_consumer
"""The consumer that is a state machine."""


class ToQueue(NamedTuple):
    """Send ``text`` to a queue, by its id in the template; None is the text as it was sent."""

    queue: str
    text: str | None = None


class ToTarget(NamedTuple):
    """Deliver to a rule's target: by its key on one machine, by its ARN on AWS."""

    target: str


class ToOrder(NamedTuple):
    """Start a run that takes an order over; ``execution`` is the run that gave it up."""

    order_id: str
    execution: str | None


class ToRun(NamedTuple):
    """Start a run of `PROCESSOR` with an event, or with text that is no event."""

    event: Any


class ToReconciler(NamedTuple):
    """Call the reconciler, which sends the messages of an outbox."""


class ToFunction(NamedTuple):
    """Call a function, by its ARN."""

    function: str
    payload: Any


Route = ToQueue | ToTarget | ToOrder | ToRun | ToReconciler | ToFunction


def in_words(way: Route) -> str:
    """Return a destination in words."""
    match way:
        case ToQueue(queue):
            return f"the queue {queue}"
        case ToTarget(target):
            return f"the target {target.rpartition(':')[2]} of its rule"
        case ToOrder():
            return "a run that takes its order over"
        case ToRun():
            return "a run with its event"
        case ToReconciler():
            return "the reconciler, which sends the messages of an outbox"
        case ToFunction(function):
            return f"the function {function.partition(':function:')[2] or function}"


class UnknownConsumer(KeyError):
    """The template has no consumer of this name."""

    def __init__(self, consumer: str) -> None:
        super().__init__(consumer)
        self.consumer = consumer


def route(stack: Stack, queue: str, body: Any, *, source: str | None, target: str | None) -> Route:
    """Return the destination of a dead letter.

    Parameters
    ----------
    stack
        The template.
    queue
        The queue that holds it.
    body
        Its body, parsed where it is JSON.
    source
        The queue that gave it up, if one did.
    target
        The rule's target that failed, if one did.

    Raises
    ------
    KeyError, TypeError, AttributeError
        The dead letter has no destination.
    """
    if source is not None:
        return ToQueue(source)
    if target is not None:
        return ToTarget(target)
    if queue == ATTENTION:
        return ToOrder(body["order_id"], body.get("execution"))
    return _route_of_body(stack, body)


def _route_of_body(stack: Stack, body: Any) -> Route:
    if "DDBStreamBatchInfo" in body:
        return ToReconciler()
    if "requestPayload" in body:
        return ToFunction(body["requestContext"]["functionArn"], body["requestPayload"])
    event, consumer = body["event"], body["consumer"]
    if consumer == PROCESSOR:
        return ToRun(event)
    text = event if isinstance(event, str) else json.dumps(event)
    return ToQueue(_queue_of(stack, consumer), text)


def _queue_of(stack: Stack, consumer: str) -> str:
    for source in stack.consumers:
        if stack.functions[source.function].handler.split(".")[-2] == consumer:
            return source.queue
    raise UnknownConsumer(consumer)
