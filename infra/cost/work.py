"""What an order makes functions and the workflow do: calls, how long they take, what they log."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import ceil

from infra.cost.deployment import (
    ACCESS_LOG_BYTES,
    EMF_BYTES,
    FIREHOSE_CHUNK,
    RELAYED,
    SEND_MS,
    STATE_MS,
    STEPS,
    SYSTEM_LOG_BYTES,
    TASK_MS,
    Deployment,
    Step,
)
from infra.cost.usage import Usage

API, CONFIRMATION = "OrdersApiFunction", "SendConfirmationFunction"
RELAY, PROCESSOR = "RelayFunction", "ProcessRecordsFunction"

BRANCHES = ("UpdateInventoryFunction", "CreateShipmentFunction")
"""Functions that run beside each other."""

ENTRIES = 10
"""Events of one PutEvents request (EventBridge quotas)."""


class Work:
    """The work for one order.

    ``done`` says by function for how many orders it does its step, ``batched`` the calls of those
    functions that take many at once.
    """

    def __init__(self, usage: Usage, deployment: Deployment) -> None:
        self.usage = usage
        self.deployment = deployment
        self.confirmations = usage.messages.get("ConfirmationsQueue", 0.0)
        relayed = sum(usage.relayed.values())
        self.done: Mapping[str, float] = {
            **usage.functions,
            CONFIRMATION: self.confirmations,
            API: usage.http_requests,
        }
        self.batched = {
            CONFIRMATION: self.confirmations / deployment.batches[CONFIRMATION],
            RELAY: relayed / deployment.batches[RELAY],
            PROCESSOR: usage.event_bytes / FIREHOSE_CHUNK,
        }

    def steps(self) -> Iterator[tuple[Step, float]]:
        """Yield what is asked of DynamoDB, and how often."""
        yield from ((STEPS[name], count) for name, count in self.done.items())
        yield from ((RELAYED[name], count) for name, count in self.usage.relayed.items())

    @property
    def calls(self) -> float:
        """Calls of all functions."""
        single = sum(self.usage.functions.values()) + self.usage.http_requests
        return single + sum(self.batched.values())

    def gb_seconds(self) -> float:
        """Return what all calls are charged as."""
        single = ((name, count, STEPS[name], 1.0) for name, count in self.done.items())
        batched = ((name, count, *self._batch(name)) for name, count in self.batched.items())
        every = [*(one for one in single if one[0] not in self.batched), *batched]
        return sum(
            count * self.deployment.gb_seconds(name, self.deployment.milliseconds(name, step, size))
            for name, count, step, size in every
        )

    def _batch(self, function: str) -> tuple[Step, float]:
        """Return what a function does for each that comes in one call, and how many come."""
        size = self.deployment.batches[function]
        if function == CONFIRMATION:
            return STEPS[CONFIRMATION], size
        if function == RELAY:
            puts = ceil(size / ENTRIES) / size
            return replace(RELAYED["Order Completed"], others=puts, waits=puts * SEND_MS), size
        events = sum(self.usage.events.values())
        return Step(rows=1), FIREHOSE_CHUNK / self.usage.event_bytes * events

    def workflow_seconds(self, rounding_ms: int) -> float:
        """Return how long a run takes: of two branches the slower one; rounded up."""
        functions = self.usage.functions
        took = {name: self.deployment.milliseconds(name, STEPS[name]) for name in functions}
        spent = sum(count * (took[name] + TASK_MS) for name, count in functions.items())
        beside = [took[name] + TASK_MS for name in BRANCHES if name in took]
        if len(beside) == len(BRANCHES):
            spent -= min(beside)
        others = self.usage.states - sum(functions.values()) - self.confirmations
        return ceil((spent + others * STATE_MS) / rounding_ms) * rounding_ms / 1000

    def logged(self) -> float:
        """Return the bytes in CloudWatch Logs: metrics, what functions say, requests."""
        metered = sum(
            STEPS[name].metrics * self.batched.get(name, count) for name, count in self.done.items()
        )
        system = SYSTEM_LOG_BYTES * self.calls if self.deployment.system_logs else 0
        access = self.usage.http_requests * ACCESS_LOG_BYTES
        return metered * EMF_BYTES + access + system + self.usage.log_bytes

    def traces(self) -> float:
        """Return traces: a run is one, with the functions that it calls."""
        begun = self.usage.executions + self.usage.http_requests + sum(self.batched.values())
        return begun * self.deployment.sampling
