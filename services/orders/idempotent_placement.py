"""Placing an order over HTTP under an idempotency key: one key of a sender is one order."""

from kernel.errors import InvalidInput, OrderConflict
from kernel.events import Event, OrderCreated
from kernel.order_record import OrderRecord, retry_on_conflict
from orders.idempotency_key import Key, Keys
from orders.usecases import Ports, open_placed, require_same_order


class KeyConflict(OrderConflict, InvalidInput):
    """A key was sent with another body before."""


@retry_on_conflict
def place(
    event: Event[OrderCreated], key: Key, ports: Ports, field: str
) -> tuple[OrderRecord, bool]:
    """Place an order once for its key; say whether it is new.

    The record, its event and the key are one write. ``field`` is where the key was sent.

    Raises
    ------
    KeyConflict
        The key was sent with another body.
    OrderConflict
        The order id is known with other content, or with another payment.
    """
    keys, store, now = _keys(ports), ports.store, ports.now()
    used = keys.use_of(key)
    if used is not None:
        if used.fingerprint != key.fingerprint:
            raise conflict(key, field)
        return store.read(used.order_id), False
    known = store.find(event.detail.order_id)
    if known is not None:
        require_same_order(known, event.detail)
        keys.keep(key, known.order_id, now)
        return known, False
    return open_placed(event, now, ports, key), True


def conflict(key: Key, field: str) -> KeyConflict:
    """Return the error of a key that was sent with another body."""
    problem = f"{key.text!r:.80} was sent with another body; a new order needs a new key"
    return KeyConflict(field, problem)


def _keys(ports: Ports) -> Keys:
    assert ports.keys is not None, "the API's ports have keys"
    return ports.keys
