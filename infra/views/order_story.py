"""The story of an order: its events, states, payments, stock and shipment, for ``orders show``.

Two readers build it: `infra.views.local_story` from a data directory, `infra.deployed.orders` from
a stack.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class OrderLine:
    """A line of an order; the price is in units of the currency."""

    sku: str
    quantity: int
    unit_price: float


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an order failed."""

    reason: str
    message: str | None


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """The fields of an order's record."""

    currency: str
    customer_id: str
    items: Sequence[OrderLine]
    placed_at: str
    email: str | None
    shipping_address: Mapping[str, Any] | None
    attempts: int
    epoch: int
    reservation: str | None
    cancel_requested: bool
    failure: Failure | None
    correlation_id: str


@dataclass(frozen=True, slots=True)
class StoryEvent:
    """An event of the order; ``id`` is the bus's, ``event_id`` that of the event's metadata."""

    id: str | None
    type: str
    arrived_at: str
    event_id: str | None


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """An entry of the order's timeline; amounts in ``detail`` are in units of the currency."""

    at: str
    what: str
    epoch: int | None
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Payment:
    """A charge in the ledger; ``gateway`` is the sandbox gateway's own status of it."""

    charge_id: str
    status: str
    amount: float
    currency: str
    reference: str | None
    opened_at: str
    updated_at: str
    gateway: str | None


@dataclass(frozen=True, slots=True)
class StockLevel:
    """The counts of a SKU of the order."""

    sku: str
    received: int
    on_hand: int
    reserved: int
    shipped: int
    restocked: int


@dataclass(frozen=True, slots=True)
class StoryShipment:
    """The shipment; a voided one has no tracking number."""

    shipment_id: str
    status: str
    tracking_number: str | None
    updated_at: str


@dataclass(frozen=True, slots=True)
class StateAttempts:
    """The calls that a state of a run has made, and the last error among them."""

    state: str
    attempts: int
    error: str | None


@dataclass(frozen=True, slots=True)
class StoryRun:
    """An execution of a state machine for the order; of an EXPRESS one on AWS only the name.

    ``attempts`` are those of its states, where the history is known.
    """

    machine: str
    name: str
    status: str | None
    started_at: str
    seconds: float | None
    error: str | None
    attempts: Sequence[StateAttempts] = ()
    redrives: int = 0
    """How often an operator or a client continued it after its end."""


@dataclass(frozen=True, slots=True)
class Review:
    """The review of an order of high value."""

    status: str
    flagged_at: str


@dataclass(frozen=True, slots=True)
class StoryRequest:
    """A request that arrived before its order and waits for it."""

    type: str
    since: str


@dataclass(frozen=True, slots=True)
class StoryDeadLetter:
    """A dead letter about the order; of a stack its id is text."""

    id: Any
    queue: str
    reason: str


@dataclass(frozen=True, slots=True)
class Retry:
    """A failed message about the order that is received again at ``next``."""

    id: int
    queue: str
    attempts: int
    next: str
    reason: str


@dataclass(frozen=True, slots=True)
class StoryAction:
    """An operator's action on the order; a refused one has the ``problem``."""

    id: int
    at: str
    actor: str
    action: str
    reason: str
    result: str
    problem: str | None


@dataclass(frozen=True, slots=True)
class OrderStory:
    """All facts about an order; without a record, ``facts`` is None and the status UNKNOWN.

    ``stuck_on`` is the present activity or wait of an order that has not ended.
    """

    order_id: str
    status: str
    total: float | None
    facts: OrderFacts | None
    events: Sequence[StoryEvent]
    timeline: Sequence[TimelineEntry]
    payments: Sequence[Payment]
    stock: Sequence[StockLevel]
    shipment: StoryShipment | None
    runs: Sequence[StoryRun]
    review: Review | None
    mail: str | None
    requests: Sequence[StoryRequest]
    dead_letters: Sequence[StoryDeadLetter]
    retries: Sequence[Retry]
    actions: Sequence[StoryAction] = ()
    refusals: Sequence[str] = ()
    found_by: str | None = None
    stuck_on: str | None = None
    resume_at: float | None = None
    """When a waiting order is tried again, in epoch seconds; not part of `to_json`."""

    @classmethod
    def of_nothing(
        cls, name: str, events: Sequence[StoryEvent], refusals: Sequence[str]
    ) -> "OrderStory":
        """Return the story of events that opened no order and name none."""
        return cls(
            order_id=name,
            status="UNKNOWN",
            total=None,
            facts=None,
            events=events,
            timeline=(),
            payments=(),
            stock=(),
            shipment=None,
            runs=(),
            review=None,
            mail=None,
            requests=(),
            dead_letters=(),
            retries=(),
            refusals=refusals,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the story as ``orders show --json`` prints it: the record's fields on top."""
        story = asdict(self)
        facts = story.pop("facts") or {}
        del story["resume_at"]
        top = {name: story.pop(name) for name in ("order_id", "status", "total")}
        return {**top, **facts, **story}


@dataclass(frozen=True, slots=True)
class OrderSummary:
    """A row of ``orders list``; ``reason`` is why it failed or waits, as ``--reason`` takes it."""

    order_id: str
    customer_id: str
    status: str
    total: float
    currency: str
    attempts: int
    failure: str | None
    updated_at: str
    created_at: str
    waits_for: str | None
    until: str | None
    reason: str | None
    placed_at: str


@dataclass(frozen=True, slots=True)
class OrderPage:
    """A part of a list, and the cursor after which the next part begins; None at the end."""

    orders: Sequence[OrderSummary]
    next: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the page as ``orders list --json`` prints it."""
        return asdict(self)
