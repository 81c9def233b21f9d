"""The lease on an order, and the fence that keeps out a run whose lease was taken over.

A run of the workflow holds an order while the record's ``epoch`` is the run's own and the order has
not ended. A newer run takes the order over by raising the epoch (`orders.model.claim`), if the
lease is free or ``lease_until`` has passed. A compensation raises it as well, so that late writes
of its own run are refused (`orders.model.compensate`). Each step of a run calls one of these guards
on the record that it has read, before it decides. The step's write is conditional on the record's
version, so a takeover between the guard and the write is a `VersionConflict`, and the guard runs
again.
"""

from kernel.errors import LeaseLost, OrderCancelled
from kernel.order_record import OrderRecord
from kernel.order_status import UNDOING, Status


def require_holder(record: OrderRecord, epoch: int) -> OrderRecord:
    """Return the record if the run of this epoch holds it; raise `LeaseLost` otherwise."""
    if record.epoch != epoch or record.ended:
        raise LeaseLost(
            f"order {record.order_id} is {record.status} at epoch {record.epoch}, not {epoch}"
        )
    return record


def require_active(record: OrderRecord, epoch: int) -> OrderRecord:
    """Return the record if the run of this epoch may take the order towards completion.

    Raises
    ------
    LeaseLost
        A newer run holds the order, or it has ended.
    OrderCancelled
        The order is to be cancelled, or is being compensated.
    """
    require_holder(record, epoch)
    if record.cancel_requested or record.status in UNDOING:
        reason = "to be cancelled" if record.cancel_requested else f"undone after {record.failure}"
        raise OrderCancelled(f"order {record.order_id} is {reason}")
    return record


def require_compensating(record: OrderRecord, epoch: int) -> OrderRecord:
    """Return the record if the run of this epoch is compensating it; else raise `LeaseLost`."""
    require_holder(record, epoch)
    if record.status is not Status.COMPENSATING:
        raise LeaseLost(f"order {record.order_id} is {record.status}, not COMPENSATING")
    return record
