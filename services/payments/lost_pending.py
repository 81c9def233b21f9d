"""Decide when the ledger may have lost PENDING, so that the gateway is asked before it charges.

The ledger says PENDING before the gateway charges. On one machine that commit is not synced to
disk: a sync took 0.7 ms per order. So a power cut can lose PENDING, but not the state that the
order had before this step, which is synced before a function is called.

The order's next run then charges again under the same idempotency key, and the gateway answers
with the first charge, unless it has forgotten the key. So an order without a recent write is looked
up at the gateway first. The rule applies on AWS too, where DynamoDB's writes are durable: it costs
one call for an order that waited.
"""

PENDING_LOST_AFTER = 3_600.0
"""Seconds without a write after which the gateway is asked first: far less than the time for which
a gateway remembers an idempotency key."""


def may_have_lost_pending(updated_at: float, now: float) -> bool:
    """Return whether an order without PENDING may have been charged under a forgotten key.

    ``updated_at`` is the time of the order's last write.
    """
    return now - updated_at > PENDING_LOST_AFTER
