"""Runs of ``order_processing`` that replace redriven dead letters of a deployed stack.

Step Functions has no record of an EXPRESS execution. But a run that claims an order writes its name
into the order's item, and a run that fails for good leaves a dead letter with its name.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from infra.dead_letters.order_text import order_in_words
from infra.dead_letters.reason import ATTENTION, QUARANTINE
from infra.deployed.account import translate_errors
from infra.deployed.bounds import TimeLimit
from infra.deployed.dead_letter_queues import REDEPLOY, DeadLetterQueues, Received
from infra.deployed.stack import DeployedStack
from kernel.clock import timestamp
from kernel.order_record import OrderRecord
from kernel.order_status import PAUSED

POLL = 0.5
"""Seconds between two reads of an order."""

READS_PER_RECEIVE = 4
"""Reads of orders per poll of the queues, which adds a receive to each dead letter there."""


WATCH = 0.75
"""The share of an operation's time in which runs are watched; the rest closes dead letters."""

UNREAD = {
    "state": "running",
    "message": "its run has begun, and its result was not read in time: the dead letter stays;"
    " redrive it again in a minute, which does nothing twice",
}
"""The answer for a run that has begun, when the time of the operation is over."""


@dataclass(slots=True)
class Run:
    """A run that replaces a dead letter.

    ``epoch`` is that of its order before the start. ``owns`` is set once the run has claimed the
    order, or has left a dead letter of its own: then the reconciler, or that dead letter, replaces
    the redriven one.
    """

    received: Received
    name: str
    arn: str
    order_id: str | None
    epoch: int
    owns: bool = False
    answer: dict[str, Any] | None = None

    @property
    def is_stored(self) -> bool:
        """Whether the dead letter has a durable replacement."""
        return self.owns or (self.answer is not None and self.answer["state"] == "done")


class Runs:
    """Starts runs for dead letters, and watches them."""

    def __init__(
        self,
        stack: DeployedStack,
        queues: DeadLetterQueues,
        now: Callable[[], float],
        sleep: Callable[[float], None] = time.sleep,
        limit: TimeLimit | None = None,
    ) -> None:
        from orders.dynamodb import DynamoOrders

        self.stack = stack
        self.queues = queues
        self.now = now
        self.sleep = sleep
        self.limit = limit or TimeLimit()
        self.machine = stack.name("OrderProcessing")
        # an older stack has no alias; an execution's ARN names the state machine either way
        self.started_by = stack.names.get("OrderProcessingAlias", self.machine)
        self.states = stack.client("stepfunctions")
        self.orders = DynamoOrders(stack.table())

    def start(self, received: Received, body: str, name: str) -> Run:
        """Start a run, or return the one that was started under this name before.

        An EXPRESS workflow starts a second run of the name (Step Functions API Reference,
        StartExecution, "idempotent"); it does nothing, since the first has the order's lease.
        """
        order_id = received.dead_letter.order_id
        before = self.orders.find(order_id) if order_id else None
        known = suppress(self.states.exceptions.ExecutionAlreadyExists)
        with translate_errors(f"the run of {received.dead_letter.id}", REDEPLOY), known:
            self.states.start_execution(stateMachineArn=self.started_by, name=name, input=body)
        return Run(received, name, self._arn(name), order_id, before.epoch if before else 0)

    def ended_holder(self, order_id: str) -> str | None:
        """Return the run that holds an order's lease although it has ended, as far as AWS knows."""
        record = self.orders.find(order_id)
        if record is None or record.lease_owner is None or record.lease_until <= self.now():
            return None
        status = self._status(self._arn(record.lease_owner))
        return record.lease_owner if status not in (None, "RUNNING") else None

    def watch(self, runs: Sequence[Run], received: Iterable[Received], wait: float) -> None:
        """Poll runs until each has an answer, or ``wait`` seconds have passed.

        ``received`` are the dead letters that this process has received: the queues hide them.
        """
        self._match(runs, received)
        end, reads = time.monotonic() + min(wait, self.limit.left(WATCH)), 0
        while True:
            for run in runs:
                self._read_order(run)
            pending = _pending(runs)
            if pending and reads % READS_PER_RECEIVE == READS_PER_RECEIVE - 1:
                self._poll_queues(pending)
                pending = _pending(runs)
            reads += 1
            if not pending or time.monotonic() + POLL > end:
                break
            self.sleep(POLL)
        self._poll_queues(_pending(runs))
        for run in _pending(runs):
            run.answer = self._unfinished(run)

    def _read_order(self, run: Run) -> None:
        """Read a run's order and, of a STANDARD run, its status."""
        if run.answer is not None or self.limit.is_over(WATCH):
            return
        record = self.orders.find(run.order_id) if run.order_id else None
        if record is not None and (record.lease_owner == run.name or _was_claimed(record, run)):
            run.owns = True
        if record is not None and (record.ended or (run.owns and _waits(record))):
            run.answer = {"state": "done", "message": order_in_words(record._asdict())}
        elif not run.owns and record and self._status(run.arn) == "SUCCEEDED":
            holder = self._order_and_holder(record)
            reason = f"its run was ignored, and the dead letter stays: {holder}"
            run.answer = {"state": "back", "message": reason}

    def _poll_queues(self, runs: Sequence[Run]) -> None:
        """Receive the dead letters that these runs have left."""
        if not runs or self.limit.is_over(WATCH):
            return
        with self.queues.received([QUARANTINE, ATTENTION]) as received:
            self._match(runs, received.values())

    def _match(self, runs: Sequence[Run], received: Iterable[Received]) -> None:
        """Answer for the runs that have left one of these dead letters."""
        by_run = {
            item.dead_letter.body["execution"]: item.dead_letter
            for item in received
            if isinstance(item.dead_letter.body, dict) and "execution" in item.dead_letter.body
        }
        for run in runs:
            dead_letter = by_run.get(run.name)
            if dead_letter is not None:
                run.owns = True
                message = f"back in {dead_letter.queue}: {dead_letter.reason}"
                run.answer = {"state": "back", "message": message, "letter": dead_letter.id}

    def _unfinished(self, run: Run) -> dict[str, Any]:
        """Return the answer for a run whose result is unknown."""
        if self.limit.is_over(WATCH):
            return dict(UNREAD)
        record = self.orders.find(run.order_id) if run.order_id else None
        status = self._status(run.arn)
        if status in ("FAILED", "TIMED_OUT", "ABORTED"):
            run.owns = False
            return {"state": "back", "message": f"its run {status}, and the dead letter stays"}
        if run.owns:
            order = order_in_words(record._asdict()) if record else f"order {run.order_id}"
            return {"state": "running", "message": f"{order}; its run {run.name} has the order"}
        reason = f": {self._order_and_holder(record)}" if record else ""
        message = f"its run {run.name} has not taken the order, and the dead letter stays{reason}"
        return {"state": "running", "message": message}

    def _order_and_holder(self, record: OrderRecord) -> str:
        order = order_in_words(record._asdict())
        if record.lease_owner is None or record.lease_until <= self.now():
            return order
        until = timestamp(record.lease_until)
        return f"{order}, held by run {record.lease_owner} until {until}"

    def _arn(self, name: str) -> str:
        return f"{self.machine.replace(':stateMachine:', ':execution:')}:{name}"

    def _status(self, arn: str) -> str | None:
        """Return the status of a STANDARD run; that of an EXPRESS run is unknown."""
        from botocore.exceptions import ClientError

        try:
            return str(self.states.describe_execution(executionArn=arn)["status"])
        except ClientError:
            return None


def _pending(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if run.answer is None]


def _was_claimed(record: OrderRecord, run: Run) -> bool:
    """Return whether an order was claimed and released since the run was started."""
    return record.epoch > run.epoch and record.lease_owner is None


def _waits(record: OrderRecord) -> bool:
    return record.status in PAUSED and record.lease_owner is None
