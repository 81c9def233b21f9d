"""Resume the orders that wait for units as soon as these arrive, the oldest first.

The timer of each waiting order is still set, so a lost event costs time and no order.
"""

from kernel.order_record import OrderRecord, retry_on_conflict
from kernel.stock_events import Supply
from orders import model
from orders.usecases import Ports

MAX_EXAMINED = 1_000
"""Waiting orders of a SKU that one event looks at; the others wait for their timers."""

BATCH = 25
"""Entries that are deleted together; a function that ends early repeats no more starts than these.

A thousand orders may take longer than the function's timeout, and the next delivery continues.
"""


def resume_waiting(supplies: list[Supply], ports: Ports) -> int:
    """Start a run for each order that the supplies cover; return the number of runs.

    An order that is short of more than the available units is left to its timer, and younger
    orders are looked at. The entry of a started order is deleted, so a repeated event starts it
    only if the first call ended before that; the lease of the first run refuses a second one.
    """
    return sum(_resume(supply, ports) for supply in supplies)


@retry_on_conflict
def _resume(supply: Supply, ports: Ports) -> int:
    left, started = supply.available, 0
    done: list[OrderRecord] = []
    for order_id in ports.store.waiting_for(supply.sku, MAX_EXAMINED):
        if left <= 0:
            break
        record = ports.store.find(order_id)
        if record is None:  # pruned meanwhile, with its entry
            continue
        if not model.waits_for_stock(record):
            done.append(record)
        elif record.demand[supply.sku] <= left:
            left -= record.demand[supply.sku]
            _start(record, ports)
            done.append(record)
            started += 1
        if len(done) == BATCH:
            ports.store.forget_waiting(supply.sku, done)
            done = []
    if done:
        ports.store.forget_waiting(supply.sku, done)
    return started


def _start(record: OrderRecord, ports: Ports) -> None:
    now = ports.now()
    ports.store.send(model.resume(record, now, "s"), now)
