"""A replay of files to a deployed stack: its brake, and its proof.

Both use a bounded number of calls. The brake asks for the attributes of the stack's consumer queues
and for its alarms, at most once in `EVERY` seconds. The proof reads the items of the first `SAMPLE`
orders of the replay, before their events are sent and after the replay: an order's ledger and
shipment are in its item.

Sources: Amazon SQS API Reference, GetQueueAttributes; Amazon CloudWatch API Reference,
DescribeAlarms; Amazon DynamoDB Developer Guide, BatchGetItem.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from infra.deployed.account import translate_errors
from infra.deployed.stack import DeployedStack
from infra.local.template.stack import Stack
from kernel.events import OrderCreated
from kernel.order_status import PAUSED, ChargeStatus, ShipmentStatus, Status
from payments.dynamodb import charge_of
from shipping.dynamodb import shipment_of
from storage.dynamodb.order_item import is_order, order_key, to_record

BEHIND = 1_000
"""Messages in the consumer queues from which a replay waits."""

CAUGHT_UP = BEHIND // 2
"""Messages at which it continues."""

EVERY = 10.0
"""Seconds between two looks: an attribute of a queue is correct a minute after its last change."""

POLL = 5.0
"""Seconds between two readings of the sample at the end of a replay."""

SAMPLE = 1_000
"""Orders of a replay whose items are read."""

_ALARMS = 100
"""Alarm names of one request (CloudWatch, DescribeAlarms)."""

_REDEPLOY = "deploy the stack again"
_ENDS = {Status.COMPLETED, Status.FAILED, Status.CANCELLED}


class StackBrake:
    """Holds a replay while a stack has too many messages, or an alarm that it did not have."""

    def __init__(
        self,
        stack: DeployedStack,
        template: Stack,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._stack = stack
        self._queues = [each.queue for each in template.consumers if each.queue in stack.names]
        self._now, self._sleep, self._check = now, sleep, check
        self._sqs = stack.client("sqs")
        self._cloudwatch = stack.client("cloudwatch")
        self._known = frozenset(self.alarms())
        self._look_at = 0.0
        self.held = 0.0

    def wait(self, on_wait: Callable[[str], None]) -> None:
        """Wait while the stack is behind or alarmed; ``on_wait`` gets the reason."""
        if self._now() < self._look_at:
            return
        limit = BEHIND
        while reason := self._reason(limit):
            limit = CAUGHT_UP
            on_wait(reason)
            self._sleep(EVERY)
            self._check()
            self.held += EVERY
        self._look_at = self._now() + EVERY

    def behind(self) -> int:
        """Return the number of messages in the consumer queues, about as many as there are."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        total = 0
        with translate_errors("SQS", _REDEPLOY):
            for queue in self._queues:
                url = self._stack.names[queue]
                answer = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)
                total += sum(int(value) for value in answer["Attributes"].values())
        return total

    def alarms(self) -> list[str]:
        """Return the stack's alarms in the state ALARM, by their ids in the template."""
        real = {name: own for own, name in self._stack.names.items() if own.endswith("Alarm")}
        names, found = sorted(real), []
        with translate_errors("CloudWatch", _REDEPLOY):
            for first in range(0, len(names), _ALARMS):
                answer = self._cloudwatch.describe_alarms(
                    AlarmNames=names[first : first + _ALARMS], StateValue="ALARM"
                )
                found += [real[alarm["AlarmName"]] for alarm in answer["MetricAlarms"]]
        return sorted(found)

    def _reason(self, limit: int) -> str:
        """Return why the replay waits, or an empty text."""
        behind = self.behind()
        if behind > limit:
            return f"{behind:,} messages"
        new = [name for name in self.alarms() if name not in self._known]
        return f"the alarm {', '.join(new)}" if new else ""


class StackProof:
    """The records of the first orders of a replay, before their events and after the replay."""

    def __init__(self, stack: DeployedStack) -> None:
        self._table = stack.table()
        self._before: dict[str, dict[str, Any]] = {}
        self._ids: dict[str, bool] = {}

    @property
    def sample(self) -> int:
        """The number of orders whose records are compared."""
        return len(self._ids)

    def before(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Read the orders that are new to the sample, before their events are sent."""
        new = []
        for event in events:
            order_id = event["detail"]["order_id"]
            if order_id not in self._ids and len(self._ids) < SAMPLE:
                self._ids[order_id] = False
                new.append(order_id)
            if order_id in self._ids and event["detail-type"] == OrderCreated.name:
                self._ids[order_id] = True
        self._before |= self._read(new)

    def after(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the figures of the sample before the replay and now."""
        now = self._read(list(self._ids))
        pairs = [(self._before[order_id], now.get(order_id, {})) for order_id in self._before]
        return _figures(self._before.values(), ()), _figures(now.values(), pairs)

    def unfinished(self) -> int:
        """Return the number of orders of the sample that a run is processing, or must."""
        records = self._read(list(self._ids))
        unread = sum(opens and each not in records for each, opens in self._ids.items())
        done = _ENDS | PAUSED
        return unread + sum(each["status"] not in done for each in records.values())

    def wait(
        self,
        seconds: float,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> int:
        """Wait until no order is unfinished, for some seconds at most; return their number."""
        end = now() + seconds
        number = self.unfinished()
        try:
            while number and (left := end - now()) > 0:
                sleep(min(POLL, left))
                number = self.unfinished()
        except KeyboardInterrupt:
            return number  # all events were accepted
        return number

    def _read(self, order_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the compared fields of each order that has a record."""
        if not order_ids:
            return {}
        keys = [order_key(order_id) for order_id in order_ids]
        found = {}
        for item in self._table.get_all(keys, consistent=True):
            if is_order(item):
                record = to_record(item)
                charge: Any = charge_of(item) or {}
                shipment: Any = shipment_of(item) or {}
                found[record.order_id] = {
                    "status": record.status,
                    "charge": charge.get("status"),
                    "charged_by": charge.get("reference"),
                    "shipment": shipment.get("status"),
                    "shipped_by": shipment.get("tracking_number"),
                }
        return found


def _figures(
    orders: Iterable[dict[str, Any]], pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]]
) -> dict[str, Any]:
    """Return the figures of records; ``pairs`` are those known before, and their records now."""
    found = list(orders)
    charged = [each for each in found if each["charge"] == ChargeStatus.CHARGED]
    return {
        "orders": len(found),
        "completed": sum(each["status"] == Status.COMPLETED for each in found),
        "failed": sum(each["status"] == Status.FAILED for each in found),
        "cancelled": sum(each["status"] == Status.CANCELLED for each in found),
        "charges": len(charged),
        "refunds": sum(each["charge"] == ChargeStatus.REFUNDED for each in found),
        "shipments": sum(each["shipment"] == ShipmentStatus.CREATED for each in found),
        "orders_charged_again": _changed(pairs, "charged_by"),
        "orders_shipped_again": _changed(pairs, "shipped_by"),
    }


def _changed(pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]], field: str) -> int:
    """Return for how many orders a reference of before is another one now."""
    return sum(
        then[field] is not None and now.get(field) not in (then[field], None) for then, now in pairs
    )
