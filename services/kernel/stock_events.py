"""`Stock Received`: the inventory's event about units that arrived and that orders wait for.

Its source is the inventory's own, so it is no event of an order: neither archived nor in the
analysts' table. A lost or repeated one harms nothing, since each waiting order has its timer too.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from kernel.clock import timestamp
from kernel.errors import InvalidEvent
from kernel.json_text import write
from kernel.order_record import Message

SOURCE, NAME, VERSION = "inventory.service", "Stock Received", "1.0"

MAX_SKUS = 100
"""Maximum SKUs of one event, which keeps it far below the size of a PutEvents entry."""


class Supply(NamedTuple):
    """Units of a SKU that a receipt or an adjustment added, and all that are available since."""

    sku: str
    units: int
    available: int


def messages(supplies: Iterable[Supply], at: float) -> Iterator[Message]:
    """Yield the outbox messages that publish a receipt; ``at`` is in epoch seconds."""
    added = iter(supplies)
    while part := list(islice(added, MAX_SKUS)):
        detail = {
            "timestamp": timestamp(at),
            "schema_version": VERSION,
            "items": [supply._asdict() for supply in part],
        }
        entry = {"Source": SOURCE, "DetailType": NAME, "Detail": write(detail).decode()}
        yield Message("event", entry)


def is_stock_event(envelope: Mapping[str, Any]) -> bool:
    """Return whether an envelope has an event of the inventory."""
    return envelope.get("source") == SOURCE


def parse(envelope: Mapping[str, Any]) -> list[Supply]:
    """Return the supplies of a `Stock Received` event.

    Raises
    ------
    InvalidEvent
        Another detail type, or a supply that is malformed.
    """
    name, detail = envelope.get("detail-type"), envelope.get("detail")
    if name != NAME:
        raise InvalidEvent("detail-type", f"{name!r} is unknown; the inventory sends {NAME!r}")
    items = detail.get("items") if isinstance(detail, Mapping) else None
    if not isinstance(items, list) or len(items) > MAX_SKUS:
        raise InvalidEvent("detail.items", f"is no list of {MAX_SKUS} entries at most; send one")
    return [_supply(number, item) for number, item in enumerate(items)]


def _supply(number: int, item: object) -> Supply:
    place = f"detail.items[{number}]"
    if not isinstance(item, Mapping):
        raise InvalidEvent(place, "is no object; send sku, units and available")
    sku, units, available = (item.get(field) for field in Supply._fields)
    if not isinstance(sku, str) or type(units) is not int or type(available) is not int:
        raise InvalidEvent(place, "needs sku as text, units and available as whole numbers")
    return Supply(sku, units, available)
