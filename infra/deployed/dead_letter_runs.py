"""Runs that redriven letters of a deployed stack became: whether they have taken their orders.

Step Functions has no record of an EXPRESS run. But a run that claims an order writes its name into
the order's item, and a run that fails for good leaves a letter with its name.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from infra.dead_letters.reason import ATTENTION, QUARANTINE
from infra.deployed.account import translate_errors
from infra.deployed.dead_letter_queues import REDEPLOY, Held, LetterQueues
from infra.deployed.stack import DeployedStack
from infra.views.order_text import order_told
from kernel.clock import timestamp
from kernel.order_record import OrderRecord
from kernel.order_status import Status

POLL = 0.5
"""Seconds between two looks at an order."""

LOOKS = 4
"""Looks at orders for one look into the queues, which costs each letter a receive."""


@dataclass(slots=True)
class Run:
    """A run that a letter was redriven as.

    ``epoch`` is its order's before; ``owns`` says that it has taken the order, or has left a letter
    of its own: then the reconciler, or that letter, has taken the letter's place.
    """

    held: Held
    name: str
    arn: str
    order_id: str | None
    epoch: int
    owns: bool = False
    answer: dict[str, Any] | None = None

    @property
    def is_stored(self) -> bool:
        """Whether something durable has taken the letter's place."""
        return self.owns or (self.answer is not None and self.answer["state"] == "done")


class Runs:
    """Starts runs of order_processing for letters, and watches them."""

    def __init__(
        self,
        stack: DeployedStack,
        queues: LetterQueues,
        now: Callable[[], float],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        from orders.dynamodb import DynamoOrders

        self.stack = stack
        self.queues = queues
        self.now = now
        self.sleep = sleep
        self.machine = stack.name("OrderProcessing")
        self.states = stack.client("stepfunctions")
        self.orders = DynamoOrders(stack.table())

    def start(self, held: Held, body: str, name: str) -> Run:
        """Start a run; one that was started under this name before is the one."""
        order_id = held.letter["order_id"]
        before = self.orders.find(order_id) if order_id else None
        arn = f"{self.machine.replace(':stateMachine:', ':execution:')}:{name}"
        known = suppress(self.states.exceptions.ExecutionAlreadyExists)
        with translate_errors(f"the run of {held.letter['id']}", REDEPLOY), known:
            self.states.start_execution(stateMachineArn=self.machine, name=name, input=body)
        return Run(held, name, arn, order_id, before.epoch if before else 0)

    def holder(self, order_id: str) -> str | None:
        """Return the run that holds an order although it has ended, as far as AWS tells."""
        record = self.orders.find(order_id)
        if record is None or record.lease_owner is None or record.lease_until <= self.now():
            return None
        arn = f"{self.machine.replace(':stateMachine:', ':execution:')}:{record.lease_owner}"
        status = self._status(arn)
        return record.lease_owner if status not in (None, "RUNNING") else None

    def watch(self, runs: Sequence[Run], held: Iterable[Held], wait: float) -> None:
        """Look what becomes of runs until all is known or so many seconds have passed.

        ``held`` are the letters in our hands, which the queues do not show meanwhile.
        """
        self._left(runs, held)
        end, looks = time.monotonic() + wait, 0
        while True:
            for run in runs:
                self._look(run)
            open_runs = [run for run in runs if run.answer is None]
            if open_runs and looks % LOOKS == LOOKS - 1:
                self._look_into_queues(open_runs)
                open_runs = [run for run in runs if run.answer is None]
            looks += 1
            if not open_runs or time.monotonic() + POLL > end:
                break
            self.sleep(POLL)
        self._look_into_queues([run for run in runs if run.answer is None])
        for run in runs:
            if run.answer is None:
                run.answer = self._unknown(run)

    def _look(self, run: Run) -> None:
        """Look at a run's order and, of a STANDARD run, at the run itself."""
        if run.answer is not None:
            return
        record = self.orders.find(run.order_id) if run.order_id else None
        if record is not None and (record.lease_owner == run.name or _moved(record, run)):
            run.owns = True
        if record is not None and (record.ended or (run.owns and _waits(record))):
            run.answer = {"state": "done", "message": order_told(record._asdict())}
        elif not run.owns and record and self._status(run.arn) == "SUCCEEDED":
            why = f"its run was ignored, and the letter stays: {self._why(record)}"
            run.answer = {"state": "back", "message": why}

    def _look_into_queues(self, runs: Sequence[Run]) -> None:
        """Look for letters that these runs have left."""
        if not runs:
            return
        with self.queues.received([QUARANTINE, ATTENTION]) as held:
            self._left(runs, held.values())

    def _left(self, runs: Sequence[Run], held: Iterable[Held]) -> None:
        """Answer for those runs that have left one of these letters."""
        left = {
            one.letter["body"]["execution"]: one.letter
            for one in held
            if isinstance(one.letter["body"], dict) and "execution" in one.letter["body"]
        }
        for run in runs:
            letter = left.get(run.name)
            if letter is not None:
                run.owns = True
                message = f"back in {letter['queue']}: {letter['reason']}"
                run.answer = {"state": "back", "message": message, "letter": letter["id"]}

    def _unknown(self, run: Run) -> dict[str, Any]:
        """Answer for a run of which nothing final is known."""
        record = self.orders.find(run.order_id) if run.order_id else None
        status = self._status(run.arn)
        if status in ("FAILED", "TIMED_OUT", "ABORTED"):
            run.owns = False
            return {"state": "back", "message": f"its run {status}, and the letter stays"}
        if run.owns:
            told = order_told(record._asdict()) if record else f"order {run.order_id}"
            return {"state": "running", "message": f"{told}; its run {run.name} has the order"}
        why = f": {self._why(record)}" if record else ""
        message = f"its run {run.name} has not taken the order, and the letter stays{why}"
        return {"state": "running", "message": message}

    def _why(self, record: OrderRecord) -> str:
        told = order_told(record._asdict())
        if record.lease_owner is None or record.lease_until <= self.now():
            return told
        until = timestamp(record.lease_until)
        return f"{told}, held by run {record.lease_owner} until {until}"

    def _status(self, arn: str) -> str | None:
        """Return the state of a STANDARD run; of an EXPRESS one nothing is known."""
        from botocore.exceptions import ClientError

        try:
            return str(self.states.describe_execution(executionArn=arn)["status"])
        except ClientError:
            return None


def _moved(record: OrderRecord, run: Run) -> bool:
    """Say whether an order was claimed since the run was started, and let go."""
    return record.epoch > run.epoch and record.lease_owner is None


def _waits(record: OrderRecord) -> bool:
    return record.status is Status.WAITING and record.lease_owner is None
