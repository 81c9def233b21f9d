"""The profile of this product: all that the generic engine knows about orders.

The engine runs any template. This module adds the facts that no template contains: the state
machine of an order, the queues of mails and of the dead letters that the engine itself writes, the
function that reconciles orders, and the place of the order id in a document. Names are the logical
ids of ``template.yaml``; the state machine has a name of its own there.

This module imports nothing of the engine, so that every layer can import it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from storage.sqlite.database import Database

ATTENTION_QUEUE = "AttentionQueue"
"""The dead-letter queue of orders that an operator must check."""

QUARANTINE_QUEUE = "QuarantineQueue"
"""The dead-letter queue of events that break their contract, and of held orders."""

ORDERS_TABLE = "OrdersTable"
"""The table that shares the journal's database; every other table is the sandbox's."""

RECONCILER = "ReconcileFunction"
"""The function whose schedule restarts orders that no run works on."""

MAIL_QUEUE = "ConfirmationsQueue"
"""The queue of mails; on AWS the rate of SES limits its consumer."""

SINK = "AnalyticsRule/OrderEvents"
"""The rule target that delivers events to the analysts' files."""

ON_AWS_ALONE: Mapping[tuple[str, str], str] = {
    ("Console", "hosted"): (
        "hosted is for a stack on AWS; one machine has the console at /console/ of `orders serve`."
        " Leave it off"
    )
}
"""Problems of parameters' values that one machine refuses, by parameter and value."""

OUTCOMES: Mapping[str, str] = {
    "Order Completed": "completed",
    "Order Failed": "failed",
    "Order Cancellation Confirmed": "cancelled",
}
"""The counted outcomes, by the fact that ends an order."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Names of a template's resources that have a special role.

    Parameters
    ----------
    order_machine : str
        State machine that processes one order: ``Order Created`` and outbox rows of kind ``run``
        start it, and the redrive of a held order's dead letter.
    order_consumer : str
        ``consumer`` in the dead letters of runs of `order_machine`.
    outbox_dead_letters : str
        Queue of outbox rows that cannot be sent.
    held_orders : str
        Queue of orders whose runs the engine no longer starts.
    placed : str
        Detail type of the event that places an order.
    incoming : frozenset of str
        Detail types that producers send.
    outcomes : mapping
        Names of `infra.local.engine.measures` by the detail types of the facts that end an order.
    """

    order_machine: str
    order_consumer: str
    outbox_dead_letters: str
    held_orders: str
    placed: str = "Order Created"
    incoming: frozenset[str] = frozenset({"Order Created", "Order Updated", "Order Cancelled"})
    outcomes: Mapping[str, str] = field(default_factory=lambda: OUTCOMES)


ORDERFLOW = Profile(
    order_machine="orderflow-order-processing",
    order_consumer="order_processing",
    outbox_dead_letters=ATTENTION_QUEUE,
    held_orders=QUARANTINE_QUEUE,
)
"""The profile of ``template.yaml``."""

STANDARD = "orderflow-order-processing-standard"
"""The state machine's name if the parameter ``WorkflowType`` is STANDARD."""


def is_dead_letter_queue(queue: str) -> bool:
    """Return whether a queue of this product has no consumer but an operator."""
    return queue in (ATTENTION_QUEUE, QUARANTINE_QUEUE) or queue.endswith("DeadLetterQueue")


def profile_of(state_machines: Collection[str]) -> Profile:
    """Return the profile of a stack with state machines of these names."""
    return replace(ORDERFLOW, order_machine=STANDARD) if STANDARD in state_machines else ORDERFLOW


def order_id_in(document: Any) -> str | None:
    """Return the id of the order that an event or a run's input is about, if it names one."""
    if not isinstance(document, dict):
        return None
    for holder in (document, document.get("detail"), document.get("resume")):
        order_id = holder.get("order_id") if isinstance(holder, dict) else None
        if isinstance(order_id, str):
            return order_id
    return None


def create_tables(database: "Database") -> None:
    """Create the services' tables, so that an operator can query them before the first order."""
    from high_value.store import SQLiteReviews
    from inventory.store import SQLiteInventory
    from notifications.store import SQLiteMails
    from orders.store import SQLiteKeys
    from payments.store import SQLiteLedger
    from shipping.store import SQLiteShipments

    stores = (
        SQLiteInventory,
        SQLiteLedger,
        SQLiteShipments,
        SQLiteReviews,
        SQLiteMails,
        SQLiteKeys,
    )
    for store in stores:
        store(database)
