"""Requests of an operator about one order: cancel it, resume it now, note something about it.

Each is also in the order's timeline, with the operator's name and reason.
"""

from kernel.errors import RetryRefused
from kernel.order_record import MAX_TEXT, Entry, OrderRecord, retry_on_conflict
from kernel.timestamps import timestamp
from orders import model, usecases
from orders.usecases import Ports


def cancel(order_id: str, actor: str, reason: str, ports: Ports) -> OrderRecord:
    """Request an order's cancellation, which a run carries out.

    Raises
    ------
    CancellationRefused
        The order is shipped or has ended.
    OrderNotFound
        No order has this id.
    """
    before = ports.store.read(order_id)
    after = usecases.cancel(order_id, reason, None, ports)
    if after.version != before.version:
        _note(order_id, "CANCELLED_BY_OPERATOR", actor, reason, ports)
    return after


@retry_on_conflict
def retry(order_id: str, actor: str, reason: str, ports: Ports) -> OrderRecord:
    """Start a run of an order that waits or is paused; it uses no wait that is left.

    Raises
    ------
    RetryRefused
        The order has ended, or a run holds it.
    OrderNotFound
        No order has this id.
    """
    record, now = ports.store.read(order_id), ports.now()
    if record.ended:
        raise RetryRefused(
            f"order {order_id} is {record.status} already: there is nothing to retry"
        )
    if record.lease_owner is not None and record.lease_until > now:
        raise RetryRefused(
            f"order {order_id} is held by run {record.lease_owner} until"
            f" {timestamp(record.lease_until)}; retry it after that, the reconciler does too"
        )
    ports.store.send(model.resume(record, now, "o"), now)
    _note(order_id, "RETRIED_BY_OPERATOR", actor, reason, ports)
    return record


def note(order_id: str, actor: str, text: str, ports: Ports) -> OrderRecord:
    """Add an operator's note to an order's timeline; raise `OrderNotFound` if there is no order."""
    record = ports.store.read(order_id)
    _note(order_id, "NOTED_BY_OPERATOR", actor, text, ports)
    return record


def _note(order_id: str, what: str, actor: str, text: str, ports: Ports) -> None:
    detail = {"by": actor, **({"reason": text[:MAX_TEXT]} if text else {})}
    ports.store.note(order_id, Entry(what, ports.now(), detail))
