"""The deployed stack as a host of the scenario table: put events, settle, report outcomes.

Every caller has orders and SKUs of its own: their ids get a suffix on input, which is removed from
the output.
"""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.local.settle import LEASE, RECONCILIATIONS
from inventory.dynamodb import DynamoInventory
from inventory.model import Receipt
from kernel import stock_events
from kernel.order_record import OrderRecord
from kernel.order_status import Approval
from orders import approvals
from orders.dynamodb import DynamoOrders, requests_in
from orders.early_requests import RETENTION
from orders.usecases import Policy, Ports
from payments.dynamodb import charge_of
from storage.dynamodb.attributes import from_item
from storage.dynamodb.order_item import is_order, order_key, to_record
from tests.rehearsal import outcome
from tests.rehearsal.deployment import Deployment
from tests.rehearsal.history import path
from tests.rehearsal.ministack import MiniStack, RehearsalError
from tests.rehearsal.outcome import REQUESTS, Outcome

BUS, TAP = "orders-bus", "rehearsal-tap"

PATIENCE = 240.0
"""Maximum seconds until orders settle."""

_PAUSE = 0.1


class Stack:
    """The shared state of a deployment: its events, dead letters and histories."""

    def __init__(self, ministack: MiniStack, deployment: Deployment) -> None:
        self.ministack = ministack
        self.deployment = deployment
        self.sqs, self.states = deployment.client("sqs"), deployment.client("stepfunctions")
        self.bus, self.functions = deployment.client("events"), deployment.client("lambda")
        self.tap = self.sqs.create_queue(QueueName=TAP)["QueueUrl"]
        self._messages: dict[str, dict[str, tuple[int, Any]]] = {}
        self._paths: dict[str, str] = {}
        self.approves = False
        self._ahead = 0.0
        self._listen()

    def _listen(self) -> None:
        arn = self.sqs.get_queue_attributes(QueueUrl=self.tap, AttributeNames=["QueueArn"])
        pattern = json.dumps({"source": ["orders.service", stock_events.SOURCE]})
        self.bus.put_rule(Name=TAP, EventBusName=BUS, EventPattern=pattern)
        target = {"Id": TAP, "Arn": arn["Attributes"]["QueueArn"]}
        self.bus.put_targets(Rule=TAP, EventBusName=BUS, Targets=[target])

    def put(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Put events on the bus in one request."""
        entries = [
            {
                "EventBusName": BUS,
                "Source": event["source"],
                "DetailType": event["detail-type"],
                "Detail": json.dumps(event["detail"]),
            }
            for event in events
        ]
        answer = self.bus.put_events(Entries=entries)
        if answer["FailedEntryCount"]:
            raise RehearsalError(f"the bus did not take an event: {answer['Entries']}")

    def published(self) -> list[Mapping[str, Any]]:
        """Return every event that was on the bus, in order."""
        return self._taken(self.tap)

    def dead_letters(self) -> list[tuple[str, str]]:
        """Return the queue and the body of each message in a queue without consumer."""
        return [
            (name, json.dumps(body))
            for name, url in self.deployment.queues.items()
            if name not in self.deployment.consumed
            for body in self._taken(url)
        ]

    def _taken(self, url: str) -> list[Any]:
        """Receive and delete the messages of a queue; return all its messages so far."""
        received = self._messages.setdefault(url, {})
        while messages := self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["SentTimestamp"]
        ).get("Messages", []):
            for message in messages:
                sent = int(message["Attributes"]["SentTimestamp"])
                received.setdefault(message["MessageId"], (sent, json.loads(message["Body"])))
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [body for _, body in sorted(received.values(), key=lambda pair: pair[0])]

    def items(self) -> list[dict[str, Any]]:
        """Return every item of the orders' table."""
        return list(self.deployment.table.scan())

    def is_quiet(self) -> bool:
        """Return whether no execution runs, and queues and outboxes are empty.

        The end of one kind of work starts the next, so executions are checked again at the end.
        """
        before = self._executions(*self._state_machines())
        if "RUNNING" in before.values() or self.unsent() or self._queued():
            return False
        return not self.unsent() and self._executions(*self._state_machines()) == before

    def works(self) -> bool:
        """Return whether an order is processed, or a message waits for a consumer.

        A wait of order_recovery is no work: the reconciler starts its order as well.
        """
        processing = self._executions(self.deployment.names["OrderProcessing"])
        return "RUNNING" in processing.values() or self._queued()

    def _executions(self, *state_machines: str) -> dict[str, str]:
        paginator = self.states.get_paginator("list_executions")
        return {
            execution["executionArn"]: execution["status"]
            for state_machine in state_machines
            for page in paginator.paginate(stateMachineArn=state_machine)
            for execution in page["executions"]
        }

    def _state_machines(self) -> tuple[str, str]:
        names = self.deployment.names
        return names["OrderProcessing"], names["OrderRecovery"]

    def _queued(self) -> bool:
        counts = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
        for name in self.deployment.consumed:
            url = self.deployment.queues[name]
            answer = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=counts)
            if any(int(number) for number in answer["Attributes"].values()):
                return True
        return False

    def unsent(self) -> bool:
        """Return whether an outbox has an event."""
        return any(item.get("out") for item in self.items())

    def skip(self, seconds: float) -> None:
        """Advance the functions' clocks."""
        self._ahead += seconds
        self.ministack.clock.write_text(str(self._ahead))

    def approve(self, *, wanted: bool) -> None:
        """Turn the approval of high-value orders on or off, as the template's parameter does."""
        if wanted is self.approves:
            return
        self.approves = wanted
        name = self.deployment.names["ProcessPaymentFunction"]
        variables = self.functions.get_function_configuration(FunctionName=name)["Environment"]
        variables["Variables"]["HIGH_VALUE_APPROVAL"] = "on" if wanted else "off"
        given = {"Variables": variables["Variables"]}
        self.functions.update_function_configuration(FunctionName=name, Environment=given)
        # the workflow calls the alias
        version = self.functions.publish_version(FunctionName=name)["Version"]
        self.functions.update_alias(FunctionName=name, Name="live", FunctionVersion=version)

    def reconcile(self) -> None:
        """Call the reconciler, as its schedule would."""
        answer = self.functions.invoke(
            FunctionName=self.deployment.names["ReconcileFunction"], Payload=b"{}"
        )
        if "FunctionError" in answer:
            raise RehearsalError(f"the reconciler failed: {answer['Payload'].read()!r}")

    def paths(self) -> list[tuple[str, str]]:
        """Return the order and the path of each run of order_processing, in order."""
        arn = self.deployment.names["OrderProcessing"]
        pages = self.states.get_paginator("list_executions").paginate(stateMachineArn=arn)
        runs = [run for page in pages for run in page["executions"]]
        for run in runs:
            arn = run["executionArn"]
            if arn not in self._paths:
                self._paths[arn] = self._path(arn)
        runs.sort(key=lambda run: (run["startDate"], run["name"]))
        return [
            (self._order(run["executionArn"]), self._paths[run["executionArn"]]) for run in runs
        ]

    def _path(self, arn: str) -> str:
        pages = self.states.get_paginator("get_execution_history").paginate(executionArn=arn)
        return path(event for page in pages for event in page["events"])

    def _order(self, arn: str) -> str:
        data = json.loads(self.states.describe_execution(executionArn=arn)["input"])
        order_id: str = (data.get("resume") or data.get("detail") or {}).get("order_id", "")
        return order_id


@dataclass(slots=True)
class Turns:
    """A substitute for the engine in situations: its turn only waits."""

    def turn(self, timeout: float) -> None:
        """Wait for a tenth of a second."""
        time.sleep(_PAUSE)


class DeployedHost:
    """A deployed stack with the methods of `tests.host.Host` that situations use."""

    def __init__(self, stack: Stack, suffix: str) -> None:
        self.stack = stack
        self.suffix = suffix
        self.engine = Turns()
        self.inventory = DynamoInventory(stack.deployment.table)

    def receive(self, **units: int) -> None:
        """Receive stock."""
        own = {self._own(sku): number for sku, number in units.items()}
        self.inventory.receive(Receipt(str(sorted(own.items())), own), time.time())

    def put(self, *events: Mapping[str, Any]) -> None:
        """Put events on the bus, with this host's order ids and SKUs."""
        self.stack.put(self._renamed(event) for event in events)

    def status(self, order_id: str = "T-1") -> str | None:
        """Return an order's status."""
        record = self.inventory.find(self._own(order_id))
        return None if record is None else str(record.status)

    def awaits_decision(self, order_id: str = "T-1") -> bool:
        """Return whether an order's wait for a decision has its token."""
        record = self.inventory.find(self._own(order_id))
        if record is not None and record.ended and self.stack.approves:
            raise RehearsalError(f"{order_id} is {record.status}, without a decision")
        return record is not None and record.approval_token is not None

    def decide(self, decision: Approval, order_id: str = "T-1") -> None:
        """Decide about an order of high value, as `orders approve --stack` does."""
        store = DynamoOrders(self.stack.deployment.table)
        ports = Ports(store, time.time, Policy())
        approvals.decide(self._own(order_id), decision, "ada", "known customer", ports)

    def settle(self) -> None:
        """Wait until nothing is due; call the reconciler for orders without progress."""
        deadline = time.monotonic() + PATIENCE
        reconciled, unfinished = 0, (-1, -1)
        while True:
            while not self.stack.is_quiet():
                if time.monotonic() > deadline:
                    raise RehearsalError(f"{self.suffix} did not settle in {PATIENCE:.0f} s")
                time.sleep(_PAUSE)
            remaining = sum(not record.ended for record in self.records().values()), self.kept()
            if remaining == (0, 0) or (reconciled >= RECONCILIATIONS and remaining == unfinished):
                return
            reconciled = reconciled + 1 if remaining == unfinished else 1
            unfinished = remaining
            awaited = any(record.approval_token for record in self.records().values())
            self.stack.skip(LEASE if remaining[0] and not awaited else RETENTION + LEASE)
            self.stack.reconcile()

    def kept(self) -> int:
        """Return the number of requests kept for orders that have not arrived."""
        requests = [request for item in self.stack.items() for request in requests_in(item)]
        return sum(self._is_own(request.order_id) for request in requests)

    def records(self) -> dict[str, OrderRecord]:
        """Return this host's orders by their ids without suffix."""
        records = [to_record(item) for item in self.stack.items() if is_order(item)]
        own = [record for record in records if self._is_own(record.order_id)]
        return {self._plain(record.order_id): record for record in own}

    def outcome(self) -> Outcome:
        """Return the outcome of all orders of this host together."""
        return Outcome(
            outcome.paths(path for order, path in self.stack.paths() if self._is_own(order)),
            outcome.status(self.status(), self.letters()),
            outcome.events(self._published()),
            "; ".join(self._charges().values()) or "none",
            self.stock(),
        )

    def orders(self) -> dict[str, Outcome]:
        """Return the outcome of each order."""
        paths, events, charges = self.stack.paths(), self._published(), self._charges()
        return {
            order_id: Outcome(
                outcome.paths(path for order, path in paths if order == record.order_id),
                str(record.status),
                outcome.events(sorted(event for event in events if event[0] == record.order_id)),
                charges.get(order_id, "none"),
            )
            for order_id, record in self.records().items()
        }

    def letters(self) -> list[str]:
        """Return the queues with this host's dead letters."""
        return [queue for queue, body in self.stack.dead_letters() if f"-{self.suffix}" in body]

    def _published(self) -> list[tuple[str, str]]:
        """Return the order, or no text, and the type of each event that the platform published."""
        seen: dict[str, tuple[str, str]] = {}
        for event in self.stack.published():
            detail = event["detail"]
            if event["source"] == stock_events.SOURCE:
                if all(self._is_own(item["sku"]) for item in detail["items"]):
                    seen.setdefault(json.dumps(detail), ("", event["detail-type"]))
            elif self._is_own(detail["order_id"]) and event["detail-type"] not in REQUESTS:
                published = (detail["order_id"], event["detail-type"])
                seen.setdefault(detail["metadata"]["event_id"], published)
        return list(seen.values())

    def _charges(self) -> dict[str, str]:
        """Return the state of each order's charge."""
        gateway = self._gateway()
        charges = {}
        for order_id, record in self.records().items():
            item = self.stack.deployment.table.get(*order_key(record.order_id))
            charge = charge_of(item) if item else None
            if charge is not None:
                at_gateway = gateway.get(str(charge["charge_id"]), [])
                charges[order_id] = outcome.charge(str(charge["status"]), record.total, at_gateway)
        return charges

    def _gateway(self) -> dict[str, list[str]]:
        """Return the gateway's own record: the statuses of charges by idempotency key."""
        client = self.stack.deployment.client("dynamodb")
        pages = client.get_paginator("scan").paginate(
            TableName=self.stack.deployment.names["SandboxTable"], ConsistentRead=True
        )
        statuses: dict[str, list[str]] = {}
        for item in (from_item(stored) for page in pages for stored in page["Items"]):
            if item["pk"].startswith("charge#") and "status" in item:
                statuses.setdefault(item["pk"].partition("#")[2], []).append(item["status"])
        return statuses

    def stock(self) -> str:
        """Return the counts of this host's SKUs as text."""
        return outcome.stock(self.levels())

    def levels(self) -> list[dict[str, Any]]:
        """Return the counts of this host's SKUs."""
        return [
            {
                **item,
                "sku": self._plain(item["pk"].partition("#")[2]),
                "on_hand": item["available"] + item["reserved"],
            }
            for item in self.stack.items()
            if item["sk"] == "stock" and self._is_own(item["pk"])
        ]

    def _own(self, name: str) -> str:
        return f"{name}-{self.suffix}"

    def _is_own(self, name: str) -> bool:
        return name.endswith(f"-{self.suffix}")

    def _plain(self, name: str) -> str:
        return name.removesuffix(f"-{self.suffix}")

    def _renamed(self, event: Mapping[str, Any]) -> dict[str, Any]:
        detail = {**event["detail"], "order_id": self._own(event["detail"]["order_id"])}
        if "items" in detail:
            detail["items"] = [{**line, "sku": self._own(line["sku"])} for line in detail["items"]]
        return {**event, "detail": detail}
