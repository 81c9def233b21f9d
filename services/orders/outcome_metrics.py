"""Metrics of the orders that end, from the records of the table's stream.

The relay reads every record with a message anyway, so these metrics cost an order no call. A
repeated batch counts again. On one machine the engine counts (`infra.local.engine.measures`).
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from kernel.events import OrderCompleted, OrderFailed
from storage.dynamodb.attributes import from_item
from storage.dynamodb.order_item import ATTRIBUTES, ORDER, from_message

_CREATED = ATTRIBUTES["created_at"]
_READ = ("sk", "new", "out", _CREATED)


class Outcome(NamedTuple):
    """How an order ended: the seconds until it was completed, or the reason of its failure."""

    seconds: float | None
    reason: str | None


def outcomes(records: Iterable[Mapping[str, Any]]) -> Iterator[Outcome]:
    """Yield the completions and failures that a batch of stream records tells."""
    for record in records:
        image = record["dynamodb"].get("NewImage", {})
        if "new" not in image or "out" not in image:
            continue
        item = from_item({name: image[name] for name in _READ if name in image})
        if item["sk"] != ORDER or _CREATED not in item:
            continue
        # as the relay, which has no message of a key that is gone
        for key in item["out"].keys() & set(item["new"].split()):
            message, at = from_message(item["out"][key])
            name = message.body.get("DetailType") if message.kind == "event" else None
            if name == OrderCompleted.name:
                yield Outcome(at - float(item[_CREATED]), None)
            elif name == OrderFailed.name:
                reason = json.loads(str(message.body["Detail"])).get("reason")
                yield Outcome(None, str(reason))
