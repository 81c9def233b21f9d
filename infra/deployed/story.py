"""Orders of a deployed stack: what ``orders show`` and ``orders list`` tell, read from AWS.

Nobody keeps a journal of the bus there, so an order's events are those that its timeline implies,
and dead letters are asked for in their queues alone (`infra.deployed.dead_letters`). A run of a
STANDARD workflow has its state; of an EXPRESS run only the name is known.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from high_value.dynamodb import REVIEW
from infra.deployed.account import translate_errors
from infra.deployed.stack import DeployedStack
from infra.errors import NotFound
from inventory.dynamodb_shards import STOCK, stock_key
from kernel.clock import timestamp
from kernel.money import from_minor
from kernel.order_record import OrderRecord
from notifications.dynamodb import MAIL
from payments.dynamodb import charge_of
from shipping.dynamodb import shipment_of
from storage.dynamodb.order_item import ORDER, from_entry, is_order, order_key, to_record
from storage.dynamodb.table import Item, Table

Story = dict[str, Any]

EVENTS = {
    "COMPLETED": "Order Completed",
    "FAILED": "Order Failed",
    "CANCELLED": "Order Cancellation Confirmed",
    "CHARGE_REFUNDED": "Payment Refunded",
    "HIGH_VALUE_FLAGGED": "High Value Order Flagged",
}
"""Entries of a timeline that were written together with an event."""

_RUNS = ("RECEIVED", "CLAIMED")
_AMOUNTS = ("amount", "threshold")


def story(stack: DeployedStack, order_id: str) -> Story:
    """Return all that is known of an order, as `infra.views.local_story.story` does on one machine.

    Raises
    ------
    NotFound
        There is no such order.
    """
    table = stack.table()
    items = {item["sk"]: item for item in table.collection(order_key(order_id)[0])}
    if not items:
        raise NotFound(f"no order has the id {order_id!r}; see `orders list`")
    told: Story = {"order_id": order_id, "status": "UNKNOWN", "total": None}
    standing = items.get(ORDER)
    order = standing if standing and is_order(standing) else None
    record = to_record(order) if order else None
    if record is not None:
        told |= _order(record)
    timeline = list(_timeline(items))
    told |= {
        "events": list(_events(record, timeline)),
        "timeline": timeline,
        "payments": _payments(record, order),
        "stock": list(_stock(table, record)),
        "shipment": _shipment(order),
        "runs": list(_runs(stack, timeline)),
        "review": _review(items),
        "mail": _mail(items),
        "requests": _requests(standing),
        "dead_letters": [],
        "retries": [],
    }
    return told


def orders(
    stack: DeployedStack, status: str | None, customer: str | None, limit: int
) -> list[Story]:
    """Return orders as ``orders list`` tells them, the newest first.

    A customer's are looked up in the index; without one, the whole table is read.
    """
    table = stack.table()
    found = [record for record in _records(table, customer) if status in (None, record.status)]
    found.sort(key=lambda record: (record.created_at, record.order_id), reverse=True)
    return [
        {
            "order_id": record.order_id,
            "customer_id": record.customer_id,
            "status": str(record.status),
            "total": from_minor(record.total),
            "currency": record.currency,
            "attempts": record.attempts,
            "failure": record.failure,
            "updated_at": timestamp(record.updated_at),
        }
        for record in found[:limit]
    ]


def _records(table: Table, customer: str | None) -> Iterator[OrderRecord]:
    if customer is not None:
        from orders.dynamodb import DynamoOrders

        yield from DynamoOrders(table).by_customer(customer, 100_000, None)
        return
    yield from (to_record(item) for item in table.scan() if is_order(item))


def _order(record: OrderRecord) -> Story:
    return {
        "status": str(record.status),
        "total": from_minor(record.total),
        "currency": record.currency,
        "customer_id": record.customer_id,
        "items": [
            {
                "sku": line.sku,
                "quantity": line.quantity,
                "unit_price": from_minor(line.unit_price),
            }
            for line in record.items
        ],
        "placed_at": record.placed_at,
        "email": record.email,
        "shipping_address": record.shipping_address,
        "attempts": record.attempts,
        "epoch": record.epoch,
        "reservation": record.reservation and str(record.reservation),
        "cancel_requested": record.cancel_requested,
        "failure": record.failure and {"reason": record.failure, "message": record.failure_message},
        "correlation_id": record.correlation_id,
    }


def _timeline(items: Mapping[str, Item]) -> Iterator[Story]:
    """Return the entries of an order's item and of those beside it, by time."""
    entries = [from_entry(stored) for item in items.values() for stored in item.get("tl", ())]
    for epoch, entry in sorted(entries, key=lambda one: one[1].at):
        detail = {
            name: from_minor(value) if name in _AMOUNTS and isinstance(value, int) else value
            for name, value in entry.detail.items()
        }
        yield {"at": timestamp(entry.at), "what": entry.what, "epoch": epoch, "detail": detail}


def _events(record: OrderRecord | None, timeline: list[Story]) -> Iterator[Story]:
    if record is not None:
        yield {
            "id": None,
            "type": "Order Created",
            "arrived_at": timestamp(record.created_at),
            "event_id": record.event_id,
        }
    for entry in timeline:
        if entry["what"] in EVENTS:
            yield {
                "id": None,
                "type": EVENTS[entry["what"]],
                "arrived_at": entry["at"],
                "event_id": None,
            }


def _payments(record: OrderRecord | None, item: Item | None) -> list[Story]:
    charge: Any = charge_of(item) if item else None
    if record is None or charge is None:
        return []
    return [
        {
            "charge_id": charge["charge_id"],
            "status": str(charge["status"]),
            "amount": from_minor(record.total),
            "currency": record.currency,
            "reference": charge["reference"],
            "opened_at": timestamp(charge["opened_at"]),
            "updated_at": timestamp(charge["updated_at"]),
            "gateway": None,
        }
    ]


def _stock(table: Table, record: OrderRecord | None) -> Iterator[Story]:
    skus = sorted(record.demand) if record else []
    found = {item["pk"]: item for item in table.get_all(stock_key(sku) for sku in skus)}
    for sku in skus:
        item = found.get(f"{STOCK}#{sku}")
        if item is not None:
            yield {
                "sku": sku,
                "received": item["received"],
                "on_hand": item["available"] + item["reserved"],
                "reserved": item["reserved"],
                "shipped": item["shipped"],
                "restocked": item["restocked"],
            }


def _shipment(item: Item | None) -> Story | None:
    shipment: Any = shipment_of(item) if item else None
    if shipment is None:
        return None
    status = str(shipment["status"])
    return {
        "shipment_id": shipment["shipment_id"],
        "status": status,
        "tracking_number": shipment["tracking_number"] if status == "CREATED" else None,
        "updated_at": timestamp(shipment["updated_at"]),
    }


def _runs(stack: DeployedStack, timeline: list[Story]) -> Iterator[Story]:
    """Return the runs that the timeline names, with what Step Functions says of them."""
    machine = stack.name("OrderProcessing")
    name = machine.rsplit(":", 1)[-1]
    client = stack.client("stepfunctions")
    for entry in timeline:
        run = entry["detail"].get("run")
        if entry["what"] in _RUNS and run:
            arn = f"{machine.replace(':stateMachine:', ':execution:')}:{run}"
            yield {"machine": name, "name": run, **_run(client, arn, entry["at"])}


def _run(client: Any, arn: str, claimed_at: str) -> Story:
    from botocore.exceptions import ClientError

    with translate_errors("Step Functions", "deploy the stack anew"):
        try:
            found = client.describe_execution(executionArn=arn)
        except ClientError:
            # an EXPRESS run, or one of over 90 days ago: Step Functions does not tell of it
            return {"status": None, "started_at": claimed_at, "seconds": None, "error": None}
    started, ended = found["startDate"].timestamp(), found.get("stopDate")
    return {
        "status": found["status"],
        "started_at": timestamp(started),
        "seconds": ended and round(ended.timestamp() - started, 3),
        "error": found.get("error"),
    }


def _requests(item: Item | None) -> list[Story]:
    from orders.dynamodb import requests_in

    return [{"type": one.name, "since": timestamp(one.came_at)} for one in requests_in(item)]


def _review(items: Mapping[str, Item]) -> Story | None:
    item = items.get(REVIEW)
    if item is None:
        return None
    return {"status": item["status"], "flagged_at": timestamp(float(item["flagged_at"]))}


def _mail(items: Mapping[str, Item]) -> str | None:
    sent = [item for name, item in items.items() if name.startswith(f"{MAIL}#")]
    return f"sent {timestamp(float(sent[0]['at']))}" if sent else None
