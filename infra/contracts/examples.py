"""Builders of the examples: an order of the sample shop, and each possible event of it.

An example is one event in the form that ``orders emit`` and ``orders replay`` read. Correlation and
causation ids agree across the examples of an order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from infra.contracts.catalogue import CATALOGUE
from kernel.clock import timestamp
from kernel.events import CONTRACTS, SOURCE, parse, published_event_id
from kernel.money import from_minor
from payments.model import charge_id
from shipping.carrier import SandboxCarrier
from shipping.model import Consignment, shipment_id
from storage.sqlite.database import Database

JSON = dict[str, Any]

THRESHOLD = 100_000
"""Total in hundredths from which an order is flagged, by the template's default."""

_PRICES = {product.sku: product.unit_price_minor for product in CATALOGUE}

ADA = {
    "name": "Ada Moreau",
    "street": "14 Harbour Street",
    "city": "Bristol",
    "postal_code": "BS1 4QD",
    "country": "United Kingdom",
}
TOMAS = {
    "name": "Tomás Ruiz",
    "street": "Calle Mayor 8, 3º",
    "city": "Madrid",
    "postal_code": "28013",
    "country": "Spain",
}
GRACE = {
    "name": "Grace Okafor",
    "street": "2200 Lakeview Avenue, Suite 5",
    "city": "Chicago",
    "region": "IL",
    "postal_code": "60614",
    "country": "United States",
}


@dataclass(frozen=True, slots=True)
class Example:
    """One event and its purpose; ``name`` is the name of its file."""

    name: str
    shows: str
    envelope: JSON

    @property
    def event(self) -> str:
        """The event's detail type."""
        return str(self.envelope["detail-type"])


@dataclass(frozen=True, slots=True)
class Order:
    """An order of the sample shop; ``checkout`` is the shop's own number, if it sends metadata."""

    order_id: str
    customer_id: str
    at: str
    units: Mapping[str, int]
    currency: str = "USD"
    extras: JSON = field(default_factory=dict)
    checkout: int | None = None

    @property
    def body(self) -> JSON:
        """The fields of every event about all of the order."""
        items = [
            {"sku": sku, "quantity": quantity, "unit_price": from_minor(_PRICES[sku])}
            for sku, quantity in self.units.items()
        ]
        return {
            "order_id": self.order_id,
            "customer_id": self.customer_id,
            "currency": self.currency,
            "items": items,
            "total": from_minor(self.total),
        }

    @property
    def total(self) -> int:
        """Total in hundredths."""
        return sum(quantity * _PRICES[sku] for sku, quantity in self.units.items())

    @property
    def created(self) -> JSON:
        """The order's ``Order Created`` event."""
        return self.request("Order Created", 0, {**self.body, **self.extras})

    def request(self, name: str, after: float, fields: JSON) -> JSON:
        """Return an event from the shop, ``after`` seconds later."""
        at = _later(self.at, after).replace(".000", "")
        detail = {"order_id": self.order_id, **fields, "timestamp": at}
        if self.checkout is not None:
            key = name.lower().replace(" ", "-")
            detail["metadata"] = {
                "event_id": f"shop-{self.checkout}-{key}",
                "schema_version": CONTRACTS[name].version,
                "correlation_id": f"checkout-{self.checkout}",
                "idempotency_key": f"{self.order_id}/{key}",
            }
        return _envelope(name, at, detail)

    def cancelled(self, after: float, reason: str | None = None) -> JSON:
        """Return the order's ``Order Cancelled`` event."""
        return self.request("Order Cancelled", after, {"reason": reason} if reason else {})

    def fact(
        self, name: str, version: int | str, after: float, fields: JSON, request: JSON | None = None
    ) -> JSON:
        """Return an event that the platform publishes with this version of the order's record.

        Its cause is the order's first event, or ``request``.
        """
        cause = parse(self.created)
        at = _later(self.at, after)
        metadata = {
            "event_id": published_event_id(self.order_id, name, version),
            "schema_version": CONTRACTS[name].version,
            "correlation_id": cause.correlation_id,
            "causation_id": parse(request).event_id if request else cause.event_id,
        }
        detail = {"order_id": self.order_id, **fields, "timestamp": at, "metadata": metadata}
        return _envelope(name, at, detail)

    def completed(self) -> JSON:
        """Return the order's ``Order Completed`` event."""
        shipment = {
            "charge_id": charge_id(self.order_id),
            "shipment_id": shipment_id(self.order_id),
            "tracking_number": _tracking_number(self.order_id),
        }
        return self.fact("Order Completed", 7, 0.84, {**self.body, **shipment})

    def flagged(self) -> JSON:
        """Return the order's ``High Value Order Flagged`` event."""
        review = {"threshold": from_minor(THRESHOLD)}
        return self.fact("High Value Order Flagged", 1, 0.31, {**self._amount("total"), **review})

    def backordered(self, available: Mapping[str, int]) -> JSON:
        """Return the order's ``Order Backordered`` event with the available units of its SKUs."""
        missing = [
            {"sku": sku, "requested": self.units[sku], "available": units}
            for sku, units in available.items()
        ]
        return self.fact("Order Backordered", 2, 0.22, {**self.body, "missing": missing})

    def failed(self, version: int, after: float, reason: str, message: str) -> JSON:
        """Return the order's ``Order Failed`` event."""
        why = {"reason": reason, "message": message}
        return self.fact("Order Failed", version, after, {**self.body, **why})

    def refunded(self, after: float, reason: str) -> JSON:
        """Return the order's ``Payment Refunded`` event."""
        fields = {**self._amount("amount"), "charge_id": charge_id(self.order_id), "reason": reason}
        return self.fact("Payment Refunded", 8, after, fields)

    def confirmed(self, version: int, after: float, request: JSON) -> JSON:
        """Return the ``Order Cancellation Confirmed`` event that answers a request."""
        reason = request["detail"].get("reason")
        fields = {**self.body, **({"reason": reason} if reason else {})}
        return self.fact("Order Cancellation Confirmed", version, after, fields, request)

    def refused(self, after: float, state: str, request: JSON) -> JSON:
        """Return the ``Order Cancellation Refused`` event that answers a request."""
        fields = {"reason": f"order {self.order_id} is {state} already"}
        version = parse(request).event_id
        return self.fact("Order Cancellation Refused", version, after, fields, request)

    def _amount(self, name: str) -> JSON:
        body = self.body
        amount = {name: body["total"]}
        return {"customer_id": body["customer_id"], "currency": body["currency"], **amount}


def _envelope(name: str, at: str, detail: JSON) -> JSON:
    time = at.partition(".")[0].removesuffix("Z") + "Z"  # EventBridge truncates to seconds
    return {"source": SOURCE, "detail-type": name, "time": time, "detail": detail}


def _later(at: str, seconds: float) -> str:
    return timestamp((datetime.fromisoformat(at) + timedelta(seconds=seconds)).timestamp())


def _tracking_number(order_id: str) -> str:
    """Return the tracking number of the sandbox carrier, which derives it from the shipment."""
    database = Database(":memory:")
    consignment = Consignment(shipment_id(order_id), order_id, None)
    number = SandboxCarrier(database).create(consignment).tracking_number
    database.close()
    return number
