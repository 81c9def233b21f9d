"""A deployed stack as the console reads it: each read is bounded, and kept for some seconds.

``docs/decisions/0087-console-of-a-stack.md`` has the calls of each page.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from infra.console.page import Absent, Feature, Visit
from infra.console.stack.cache import Cache
from infra.console.stack.limits import LOOPBACK, Limits
from infra.console.stack.missing import MISSING
from infra.console.stack.operations import StackOperations
from infra.console.stack.sample import LastLook, Sample
from infra.dead_letters.edit import NothingToEdit, event_in
from infra.deployed import orders
from infra.deployed.archive_replays import ArchiveReplays
from infra.deployed.athena import Athena
from infra.deployed.ended_orders import ended_orders
from infra.deployed.health import queue_lengths, read_health, read_open_orders
from infra.deployed.machines import order_machine
from infra.deployed.run_history import read_run
from infra.deployed.stack import DeployedStack
from infra.errors import NotFound
from infra.local.directory.data_directory import DataDirectory
from infra.local.orderflow import is_dead_letter_queue
from infra.local.stack_loader import shipped
from infra.local.template.stack import Stack
from infra.views.health import Health, Workers
from infra.views.order_story import OrderStory, StoryAction, StoryDeadLetter, StoryRun
from infra.views.overview import Column
from infra.views.run_story import RunStory
from kernel.order_record import OrderRecord

MAX_OPEN = 1_000
"""Open orders that are read."""

OPEN_KEPT, HEALTH_KEPT, STORY_KEPT, LIST_KEPT, DEFINITION_KEPT = 10.0, 60.0, 4.0, 10.0, 600.0
"""Seconds: CloudWatch's figures have minutes, so health is read once in one."""


@dataclass(frozen=True, slots=True)
class WholeStory:
    """A story of an order, with its record for the invariants."""

    story: OrderStory
    record: OrderRecord | None
    charge: Mapping[str, Any] | None
    shipment: Mapping[str, Any] | None


class StackSource:
    """A deployed stack; ``options`` and ``account_options`` name it in a command, after a space.

    Without a ``sample`` the last look at its dead letters is in the memory of this process.
    """

    missing: Mapping[Feature, str] = MISSING

    def __init__(
        self,
        deployed: DeployedStack,
        name: str,
        options: str = "",
        sample: LastLook | None = None,
        limits: Limits = LOOPBACK,
    ) -> None:
        self.deployed = deployed
        self.limits = limits
        self.name = name
        self.options = options or f" --stack {name}"
        self.account_options = deployed.account.options
        self.now: Callable[[], float] = time.time
        self.sample: LastLook = sample or Sample()
        self.cache = Cache()
        self._operations = StackOperations(deployed, self.sample, limits, self.cache.clear)
        self.operate = self._operations.operate

    @property
    def directory(self) -> DataDirectory:
        """Raise `Absent`."""
        raise Absent(MISSING[Feature.DIRECTORY])

    @property
    def stack(self) -> Stack:
        """The resources of the template."""
        return shipped()

    def renew(self) -> None:
        """Read everything again at its next use: another process may have changed something."""
        self.cache.clear()
        self.sample.renew()

    def workers(self) -> Workers | None:
        """Return None: Lambda runs the functions."""
        return None

    def open_orders(self) -> Sequence[OrderRecord]:
        """Return the open orders, at most `MAX_OPEN`."""
        return self.cache.get("open", OPEN_KEPT, lambda: read_open_orders(self.deployed, MAX_OPEN))

    def health(self) -> Health:
        """Return the health of the stack."""
        return self.cache.get(
            "health",
            HEALTH_KEPT,
            lambda: read_health(self.deployed, self.name, self.open_orders()),
        )

    def ended(self, minutes: int) -> list[Column]:
        """Return the ended orders of the last minutes."""
        return self.cache.get(
            ("ended", minutes),
            HEALTH_KEPT,
            lambda: ended_orders(self.deployed, self.now(), minutes),
        )

    def whole_story(self, order_id: str) -> WholeStory:
        """Return the story of an order; raise `NotFound` if there is none."""
        return self.cache.get(("story", order_id), STORY_KEPT, lambda: self._whole_story(order_id))

    def _whole_story(self, order_id: str) -> WholeStory:
        letters = [
            StoryDeadLetter(letter.id, letter.queue, letter.reason)
            for letter in self.sample.of_order(order_id)
        ]
        try:
            story, item = orders.read_story_and_item(self.deployed, order_id)
        except NotFound:
            if not letters:
                raise
            story, item = OrderStory.of_nothing(order_id, (), ()), None
        whole = replace(story, actions=list(_actions(story)), dead_letters=letters)
        return WholeStory(whole, *orders.records_of(item))

    def run(self, run: StoryRun) -> RunStory:
        """Return a STANDARD run with its history."""
        seconds = STORY_KEPT if run.status == "RUNNING" else DEFINITION_KEPT
        return self.cache.get(
            ("run", run.name, run.status), seconds, lambda: read_run(self.deployed, run.name)
        )

    def definition(self) -> Mapping[str, Any]:
        """Return the definition of ``order_processing`` that is deployed now."""
        return self.cache.get("definition", DEFINITION_KEPT, lambda: order_machine(self.deployed))

    def of_customer(self, customer_id: str, limit: int, after: str | None) -> list[OrderRecord]:
        """Return the newest orders of a customer, or those before an order."""
        from orders.dynamodb import DynamoOrders

        store = DynamoOrders(self.deployed.table())
        return self.cache.get(
            ("customer", customer_id, limit, after),
            LIST_KEPT,
            lambda: store.by_customer(customer_id, limit, after),
        )

    def is_editable(self, number: str) -> bool:
        """Return whether a dead letter of the last look has an event."""
        letter = self.sample.find(number)
        try:
            return letter is not None and event_in(letter.to_json()) is not None
        except NothingToEdit:
            return False

    def letter_counts(self) -> dict[str, int]:
        """Return the number of messages of each dead-letter queue that has any."""
        lengths = self.cache.get("queues", LIST_KEPT, lambda: queue_lengths(self.deployed))
        return {name: number for name, number in lengths.items() if is_dead_letter_queue(name)}

    @property
    def letters(self) -> Any:
        """The dead letters of the stack."""
        return self._operations.letters

    @cached_property
    def replays(self) -> ArchiveReplays:
        """The replays of the archive."""
        return ArchiveReplays(self.deployed.account, self.stack.archive)

    @cached_property
    def athena(self) -> Athena:
        """The analysts' SQL."""
        return Athena(self.deployed)


def limits_of(visit: Visit) -> Limits:
    """Return the bounds of the stack's console that a request has reached."""
    assert isinstance(visit.source, StackSource)
    return visit.source.limits


def _actions(story: OrderStory) -> Iterator[StoryAction]:
    """Yield the operators' actions in an order's timeline."""
    for number, entry in enumerate(story.timeline):
        if entry.what.endswith(_BY_OPERATOR):
            who, why = (str(entry.detail.get(name, "")) for name in ("by", "reason"))
            action = _VERBS.get(entry.what.removesuffix(_BY_OPERATOR), entry.what)
            yield StoryAction(number, entry.at, who, action, why, "DONE", None)


_BY_OPERATOR = "_BY_OPERATOR"
_VERBS = {"CANCELLED": "cancel", "RETRIED": "retry", "NOTED": "note"}
