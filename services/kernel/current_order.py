"""The order that this process works on now, for the lines of its log.

An invocation enters it. A store that reads the order's record adds the correlation id, which the
later steps of a workflow do not receive.
"""

from typing import Any

from kernel.order_record import OrderRecord

_order_id: str | None = None
_correlation_id: str | None = None


def enter(document: Any) -> None:
    """Set the order that an event, a request or a step's input is about, if it names one."""
    global _order_id, _correlation_id
    _order_id, _correlation_id = ids_in(document)


def notice(record: OrderRecord) -> None:
    """Add the correlation id of the order's record; another order's record changes nothing."""
    global _correlation_id  # noqa: PLW0603 - a process runs one invocation at a time
    if record.order_id == _order_id:
        _correlation_id = record.correlation_id


def ids() -> tuple[str | None, str | None]:
    """Return the order's id and its correlation id, as far as they are known."""
    return _order_id, _correlation_id


def ids_in(document: Any) -> tuple[str | None, str | None]:
    """Return the order id and the correlation id in an event or a step's input."""
    if not isinstance(document, dict):
        return None, None
    order_id = document.get("order_id")
    if isinstance(order_id, str):  # the input of most steps
        return order_id, None
    if isinstance(document.get("event"), dict):  # the input of the first step
        document = document["event"]
    for name in ("detail", "resume", "pathParameters"):
        holder = document.get(name)
        order_id = holder.get("order_id") if isinstance(holder, dict) else None
        if isinstance(holder, dict) and isinstance(order_id, str):
            metadata = holder.get("metadata")
            found = metadata.get("correlation_id") if isinstance(metadata, dict) else None
            return order_id, found if isinstance(found, str) else None
    return None, None
