"""Orders of a deployed stack: the story of one, and a list, read from AWS.

AWS keeps no journal of the bus, so the events of an order are derived from its timeline. Dead
letters are found in their queues only (`infra.deployed.dead_letters`). An execution of a STANDARD
workflow has a status; of an EXPRESS one only the name is known.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from high_value.dynamodb import REVIEW
from infra.deployed.account import translate_errors
from infra.deployed.stack import DeployedStack
from infra.errors import NotFound
from infra.views.order_facts import facts_of, page_of, readable_detail
from infra.views.order_filter import OrderFilter
from infra.views.order_progress import stuck_on
from infra.views.order_story import (
    OrderPage,
    OrderStory,
    Payment,
    Review,
    StockLevel,
    StoryEvent,
    StoryRequest,
    StoryRun,
    StoryShipment,
    TimelineEntry,
)
from inventory.dynamodb_shards import read_stock
from kernel import clock
from kernel.clock import timestamp
from kernel.money import from_minor
from kernel.order_record import OrderRecord
from kernel.order_status import Status
from notifications.dynamodb import MAIL
from payments.dynamodb import charge_of
from shipping.dynamodb import shipment_of
from storage.dynamodb.order_item import ORDER, from_entry, is_order, order_key, to_record
from storage.dynamodb.table import Item, Table

EVENTS = {
    "COMPLETED": "Order Completed",
    "FAILED": "Order Failed",
    "CANCELLED": "Order Cancellation Confirmed",
    "CHARGE_REFUNDED": "Payment Refunded",
    "HIGH_VALUE_FLAGGED": "High Value Order Flagged",
}
"""Timeline entries that are written together with an event."""

_RUN_STARTS = ("RECEIVED", "CLAIMED")
"""Timeline entries that name an execution."""


def read_story(stack: DeployedStack, order_id: str) -> OrderStory:
    """Return everything known about an order.

    Raises
    ------
    NotFound
        The table has no order of this id.
    """
    return read_story_and_item(stack, order_id)[0]


def read_story_and_item(stack: DeployedStack, order_id: str) -> tuple[OrderStory, Item | None]:
    """Return everything known about an order, and its item; see `read_story`."""
    table = stack.table()
    items = {item["sk"]: item for item in table.collection(order_key(order_id)[0])}
    if not items:
        raise NotFound(f"no order has the id {order_id!r}; see `orders list`")
    head = items.get(ORDER)
    item = head if head and is_order(head) else None
    record = to_record(item) if item else None
    timeline = _timeline(items)
    story = OrderStory(
        order_id=order_id,
        status=str(record.status) if record else "UNKNOWN",
        total=from_minor(record.total) if record else None,
        facts=facts_of(record) if record else None,
        events=list(_events(record, timeline)),
        timeline=timeline,
        payments=_payments(record, item),
        stock=list(_stock(table, record)),
        shipment=_shipment(item),
        runs=list(_runs(stack, timeline)),
        review=_review(items),
        mail=_mail(items),
        requests=_requests(head),
        dead_letters=[],
        retries=[],
        actions=(),
        stuck_on=stuck_on(record, None, (), None, clock.now()),
        resume_at=record.resume_at if record and record.status is Status.WAITING else None,
    )
    return story, item


def records_of(item: Item | None) -> tuple[OrderRecord | None, Any, Any]:
    """Return an order's record, its charge and its shipment."""
    if item is None:
        return None, None, None
    return to_record(item), charge_of(item), shipment_of(item)


def list_orders(stack: DeployedStack, wanted: OrderFilter) -> OrderPage:
    """Return the orders that match a filter, as many as its limit.

    A customer's orders are queried in the index. Without a customer the whole table is scanned.
    """
    records = filter(wanted.matches, _records(stack.table(), wanted.customer))
    ordered = sorted(records, key=wanted.key, reverse=not wanted.is_ascending)
    return page_of(ordered, wanted)


def _records(table: Table, customer: str | None) -> Iterator[OrderRecord]:
    if customer is not None:
        from orders.dynamodb import DynamoOrders

        yield from DynamoOrders(table).by_customer(customer, 100_000, None)
        return
    yield from (to_record(item) for item in table.scan() if is_order(item))


def _timeline(items: Mapping[str, Item]) -> list[TimelineEntry]:
    """Return the timeline entries of all items of an order, sorted by time."""
    entries = [from_entry(stored) for item in items.values() for stored in item.get("tl", ())]
    return [
        TimelineEntry(timestamp(entry.at), entry.what, epoch, readable_detail(entry.detail))
        for epoch, entry in sorted(entries, key=lambda pair: pair[1].at)
    ]


def _events(record: OrderRecord | None, timeline: Sequence[TimelineEntry]) -> Iterator[StoryEvent]:
    if record is not None:
        created_at = timestamp(record.created_at)
        yield StoryEvent(None, "Order Created", created_at, record.event_id)
    for entry in timeline:
        if entry.what in EVENTS:
            yield StoryEvent(None, EVENTS[entry.what], entry.at, None)


def _payments(record: OrderRecord | None, item: Item | None) -> list[Payment]:
    charge: Any = charge_of(item) if item else None
    if record is None or charge is None:
        return []
    return [
        Payment(
            charge_id=charge["charge_id"],
            status=str(charge["status"]),
            amount=from_minor(record.total),
            currency=record.currency,
            reference=charge["reference"],
            opened_at=timestamp(charge["opened_at"]),
            updated_at=timestamp(charge["updated_at"]),
            gateway=None,
        )
    ]


def _stock(table: Table, record: OrderRecord | None) -> Iterator[StockLevel]:
    stock = read_stock(table, record.demand) if record else {}
    for sku in sorted(stock):
        yield StockLevel(**stock[sku]._asdict())


def _shipment(item: Item | None) -> StoryShipment | None:
    shipment: Any = shipment_of(item) if item else None
    if shipment is None:
        return None
    status = str(shipment["status"])
    return StoryShipment(
        shipment_id=shipment["shipment_id"],
        status=status,
        tracking_number=shipment["tracking_number"] if status == "CREATED" else None,
        updated_at=timestamp(shipment["updated_at"]),
    )


def _runs(stack: DeployedStack, timeline: Sequence[TimelineEntry]) -> Iterator[StoryRun]:
    """Yield the executions that the timeline names, with their status in Step Functions."""
    machine_arn = stack.name("OrderProcessing")
    machine = machine_arn.rsplit(":", 1)[-1]
    client = stack.client("stepfunctions")
    for entry in timeline:
        name = entry.detail.get("run")
        if entry.what in _RUN_STARTS and name:
            yield _run(client, machine, name, execution_arn(stack, name), entry.at)


def execution_arn(stack: DeployedStack, name: str) -> str:
    """Return the ARN of a run that processes an order."""
    machine = stack.name("OrderProcessing")
    return f"{machine.replace(':stateMachine:', ':execution:')}:{name}"


def _run(client: Any, machine: str, name: str, arn: str, claimed_at: str) -> StoryRun:
    from botocore.exceptions import ClientError

    with translate_errors("Step Functions", "deploy the stack again"):
        try:
            execution = client.describe_execution(executionArn=arn)
        except ClientError:
            # Step Functions has no record of EXPRESS executions, nor of those older than 90 days
            return StoryRun(machine, name, None, claimed_at, None, None)
    started, stopped = execution["startDate"].timestamp(), execution.get("stopDate")
    return StoryRun(
        machine=machine,
        name=name,
        status=execution["status"],
        started_at=timestamp(started),
        seconds=stopped and round(stopped.timestamp() - started, 3),
        error=execution.get("error"),
        redrives=execution.get("redriveCount", 0),
    )


def _requests(item: Item | None) -> list[StoryRequest]:
    from orders.dynamodb import requests_in

    return [StoryRequest(request.name, timestamp(request.came_at)) for request in requests_in(item)]


def _review(items: Mapping[str, Item]) -> Review | None:
    item = items.get(REVIEW)
    return None if item is None else Review(item["status"], timestamp(float(item["flagged_at"])))


def _mail(items: Mapping[str, Item]) -> str | None:
    sent = [item for name, item in items.items() if name.startswith(f"{MAIL}#")]
    return f"sent {timestamp(float(sent[0]['at']))}" if sent else None
