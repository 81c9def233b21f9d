"""Place an order over HTTP under an idempotency key: one key of a sender is one order."""

from kernel.errors import DuplicateOrder, InvalidInput, OrderConflict
from kernel.events import Event, OrderCreated
from kernel.order_record import OrderRecord, retry_on_conflict
from orders.idempotency_key import Key, Keys
from orders.usecases import Ports, require_same_order, write_placed_order


class KeyConflict(OrderConflict, InvalidInput):
    """An idempotency key was sent with another body before."""


@retry_on_conflict
def place(
    event: Event[OrderCreated], key: Key, ports: Ports, field: str
) -> tuple[OrderRecord, bool]:
    """Place an order once for its key; return its record, and whether it is new.

    The record, its event and the key are one write. ``field`` is the place of the key in the
    request, for errors.

    Raises
    ------
    KeyConflict
        The key was sent with another body.
    OrderConflict
        The order id exists with other content, or with another payment.
    DuplicateOrder
        The order has ended, and its record was pruned.
    """
    keys, store, now = _keys(ports), ports.store, ports.now()
    use = keys.use_of(key)
    if use is not None:
        if use.fingerprint != key.fingerprint:
            raise key_conflict(key, field)
        placed = store.find(use.order_id)
        if placed is None:
            raise DuplicateOrder(
                f"order {use.order_id} was placed with this key; it has ended, and its record was"
                " pruned: a new order needs a new key"
            )
        return placed, False
    existing = store.find(event.detail.order_id)
    if existing is not None:
        require_same_order(existing, event.detail)
        keys.keep(key, existing.order_id, now)
        return existing, False
    return write_placed_order(event, now, ports, key), True


def key_conflict(key: Key, field: str) -> KeyConflict:
    """Return the error of a key that was sent with another body."""
    problem = f"{key.text!r:.80} was sent with another body; a new order needs a new key"
    return KeyConflict(field, problem)


def _keys(ports: Ports) -> Keys:
    assert ports.keys is not None, "the API's ports have keys"
    return ports.keys
