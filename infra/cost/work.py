"""The work of functions and the workflow for an order: calls, durations and logs."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import ceil

from infra.cost.deployment import (
    ACCESS_LOG_BYTES,
    COLD_SHARE,
    EMF_BYTES,
    FIREHOSE_CHUNK,
    INIT_MS,
    OVER_1KB,
    PER_DAY,
    RELAYED,
    REPORT_ROW_BYTES,
    SEARCH_MINIMUM,
    SEARCH_ROW_BYTES,
    SEARCHED_READS,
    SEARCHES,
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
"""Functions that run in parallel."""

ENTRIES = 10
"""Maximum number of events in a PutEvents request (EventBridge quotas)."""


class Work:
    """The work for one order.

    ``done`` has the number of steps by function, ``batched`` the number of calls of functions that
    take batches.
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
        """Yield the steps with requests to DynamoDB, and the number of each."""
        yield from ((STEPS[name], count) for name, count in self.done.items())
        yield from ((RELAYED[name], count) for name, count in self.usage.relayed.items())

    def write_units(self, lines: float, multiplier: int, *, over_1kb: bool) -> float:
        """Return the units written for an order, whose item is over 1 KB once shipped or not."""
        units = sum(count * step.write_units(lines, multiplier) for step, count in self.steps())
        added = sum(OVER_1KB.get(name, 0) * count for name, count in self.done.items())
        return units + added if over_1kb else units

    def read_units(self) -> float:
        """Return the units read for an order, with the search for lost events."""
        read = sum(count * step.reads for step, count in self.steps())
        return read + SEARCHED_READS * self.usage.executions

    @property
    def calls(self) -> float:
        """Calls of all functions."""
        single = sum(self.usage.functions.values()) + self.usage.http_requests
        return single + sum(self.batched.values())

    def gb_seconds(self) -> float:
        """Return the billed GB-seconds of all calls."""
        single = ((name, count, STEPS[name], 1.0) for name, count in self.done.items())
        batched = ((name, count, *self._batch(name)) for name, count in self.batched.items())
        every = [*(call for call in single if call[0] not in self.batched), *batched]
        return sum(
            count * self.deployment.gb_seconds(name, self.deployment.milliseconds(name, step, size))
            for name, count, step, size in every
        )

    def init_gb_seconds(self) -> float:
        """Return the billed GB-seconds of the init phases of cold starts."""
        deployment = self.deployment
        single = [(name, count) for name, count in self.done.items() if name not in self.batched]
        return COLD_SHARE * sum(
            count * deployment.gb_seconds(name, INIT_MS)
            for name, count in [*single, *self.batched.items()]
        )

    def scanned(self) -> float:
        """Return the bytes that Athena bills, for the searches of a day and its report."""
        events = sum(self.usage.events.values()) * PER_DAY
        search = max(SEARCH_MINIMUM, events * SEARCH_ROW_BYTES / 2)
        query = max(SEARCH_MINIMUM, 2 * events * REPORT_ROW_BYTES)
        return (SEARCHES * search + 4 * query) / PER_DAY

    def _batch(self, function: str) -> tuple[Step, float]:
        """Return a function's step for each entry of a batch, and the size of the batch."""
        size = self.deployment.batches[function]
        if function == CONFIRMATION:
            return STEPS[CONFIRMATION], size
        if function == RELAY:
            puts = ceil(size / ENTRIES) / size
            return replace(RELAYED["Order Completed"], others=puts, waits=puts * SEND_MS), size
        events = sum(self.usage.events.values())
        return Step(rows=1), FIREHOSE_CHUNK / self.usage.event_bytes * events

    def workflow_seconds(self, rounding_ms: int) -> float:
        """Return the duration of a run, with the slower of two branches, rounded up."""
        functions = self.usage.functions
        took = {name: self.deployment.milliseconds(name, STEPS[name]) for name in functions}
        spent = sum(count * (took[name] + TASK_MS) for name, count in functions.items())
        parallel = [took[name] + TASK_MS for name in BRANCHES if name in took]
        if len(parallel) == len(BRANCHES):
            spent -= min(parallel)
        others = self.usage.states - sum(functions.values()) - self.confirmations
        return ceil((spent + others * STATE_MS) / rounding_ms) * rounding_ms / 1000

    def logged(self) -> float:
        """Return the bytes in CloudWatch Logs: metrics, functions' logs, requests."""
        metered = sum(
            STEPS[name].metrics * self.batched.get(name, count) for name, count in self.done.items()
        )
        system = SYSTEM_LOG_BYTES * self.calls if self.deployment.system_logs else 0
        access = self.usage.http_requests * ACCESS_LOG_BYTES
        return metered * EMF_BYTES + access + system + self.usage.log_bytes

    def traces(self) -> float:
        """Return the number of traces: a run and the functions that it calls are one trace."""
        traced = self.usage.executions + self.usage.http_requests + sum(self.batched.values())
        return traced * self.deployment.sampling
