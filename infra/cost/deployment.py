"""The declared model of AWS: deployed resources, durations and requests to DynamoDB.

Nothing here is measured on this machine. `STEPS` has the requests of each function for an order;
``tests/integration/test_cost.py`` compares them with the adapters in ``services/*/dynamodb.py``.
The times are assumptions, except where a source is named.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.template.loader import Template

PER_DAY = 1_000_000
"""Orders per day, evenly distributed: 11.6 per second. It determines the size of batches."""

DAY = 86_400

FULL_CPU_MB = 1_769
"""Memory at which a function has one full vCPU (Lambda, Configure function memory)."""

CPU_CALL_MS, CPU_REQUEST_MS, CPU_RECORD_MS = 1.5, 1.5, 0.1
"""Milliseconds on a full vCPU: Powertools and JSON of a call, one boto3 request, one row."""

READ_MS, WRITE_MS, TRANSACTION_MS, SEND_MS = 4, 6, 12, 10
"""Latency in milliseconds: DynamoDB (its introduction: single digits), and SQS or EventBridge."""

GATEWAY_MS, CARRIER_MS, SES_MS = 150, 150, 50
"""Latency of partners in milliseconds; on AWS the sandbox replaces a gateway and a carrier."""

TASK_MS, STATE_MS = 20, 2
"""Milliseconds that Step Functions adds to a task, and needs for any other state."""

EMF_BYTES, ACCESS_LOG_BYTES, SYSTEM_LOG_BYTES = 250, 300, 420
"""Bytes in CloudWatch Logs: metrics of an invocation, a line per request, START, END and REPORT."""

STREAM_SHARDS = 4
"""Shards of the table's stream, each with batches of its own: a new table on demand serves 4,000
write units a second, and a partition 1,000 (DynamoDB, On-demand capacity mode; Burst and adaptive
capacity). More orders than here would need more shards."""

POLLERS = 5
"""Pollers of a queue, each with batches of its own (Lambda, "Using Lambda with Amazon SQS")."""

COLD_SHARE = 0.01
"""Share of calls with a cold start: below 1 % (AWS Compute Blog, "AWS Lambda standardizes billing
for INIT Phase": the phase is billed since August 2025)."""

INIT_MS = 615
"""Milliseconds of the init phase, which has a full vCPU: the runtime and a handler's import, and
215 of boto3 with a client (`make bench-imports`, lambda_support.init_phase)."""

SEARCHES, SEARCH_ROW_BYTES, REPORT_ROW_BYTES = 288, 40, 100
"""Searches for lost events a day, and bytes of Parquet for each event that they and a report read.

A search reads three columns of the day's files, on average half a day. A report makes four queries
of two days. Measured on files of generated orders; order ids may be as long as a UUID.
"""

SEARCH_MINIMUM = 10 * 1024 * 1024
"""Bytes that Athena bills for a query at least."""

FIREHOSE_CHUNK = 1024 * 1024
"""Bytes of events in one call of Firehose's processor (Data transformation, default)."""


@dataclass(frozen=True, slots=True)
class Step:
    """The requests of a function for an order.

    Parameters
    ----------
    reads : float
        Consistent reads, each of up to 4 KB.
    writes : tuple of float
        Units of 1 KB of each write to one item.
    transaction : float
        Units of 1 KB of the order's item in its transaction; every line adds a unit.
    index : float
        Units of the index: an entry added, and an entry removed.
    others : float
        Requests to other services than DynamoDB.
    waits : float
        Total latency of these requests in milliseconds.
    rows : float
        Rows made of events.
    metrics : int
        Whether its calls log a line of metrics.
    """

    reads: float = 0
    writes: tuple[float, ...] = ()
    transaction: float = 0
    index: float = 0
    others: float = 0
    waits: float = 0
    rows: float = 0
    metrics: int = 0

    def write_units(self, lines: float, multiplier: int) -> float:
        """Return the units written to the table and its index for an order of ``lines`` lines."""
        moved = (self.transaction + lines) * multiplier if self.transaction else 0
        return sum(self.writes) + self.index + moved


STEPS: Mapping[str, Step] = {
    "OrdersApiFunction": Step(reads=1, writes=(2,), index=2, metrics=1),
    # with its entries in two indexes, or an entry moved by an order placed over HTTP
    "ValidateOrderFunction": Step(reads=1, writes=(1,), index=2),
    "CheckInventoryFunction": Step(reads=1, transaction=1),
    "ProcessPaymentFunction": Step(reads=1, writes=(1, 1), others=1, waits=GATEWAY_MS),
    "UpdateInventoryFunction": Step(reads=1, transaction=1),
    "CreateShipmentFunction": Step(reads=1, writes=(1,), others=1, waits=CARRIER_MS),
    # with its event in the outbox the order's item is over 1 KB until the relay has sent the event
    "CompleteOrderFunction": Step(reads=1, writes=(2,), metrics=1),
    "SendConfirmationFunction": Step(reads=2, writes=(1,), others=1, waits=SES_MS, metrics=1),
}
"""Requests of each function of the happy path, by its name in the template."""

RELAYED: Mapping[str, Step] = {
    "Order Created": Step(writes=(2,)),
    "Order Completed": Step(writes=(2,), index=1),
}
"""Requests of the relay after the bus has accepted an event of the outbox."""

SEARCHED_READS = 0.5
"""Read units of an order in the search for lost events, which asks whether the order exists."""

OVER_1KB: Mapping[str, float] = {"CreateShipmentFunction": 1}
"""Units that a step writes in addition if the order's item is over 1 KB once it has a shipment.

That is so with ids as long as a UUID and a full postal address (`tests/integration/test_cost.py`).
"""


@dataclass(frozen=True, slots=True)
class Deployment:
    """The deployed resources; ``memory`` is in MB, ``batches`` are messages per call."""

    memory: Mapping[str, int]
    arm64: bool
    sampling: float
    batches: Mapping[str, float]
    system_logs: bool
    buffer_seconds: float

    def milliseconds(self, function: str, step: Step, times: float = 1) -> float:
        """Return the duration of a call that does a step ``times`` times in sequence."""
        writes, transactions = len(step.writes), bool(step.transaction)
        requests = step.reads + writes + transactions + step.others
        work = CPU_CALL_MS + times * (requests * CPU_REQUEST_MS + step.rows * CPU_RECORD_MS)
        answers = step.reads * READ_MS + writes * WRITE_MS + transactions * TRANSACTION_MS
        share = min(1.0, self.memory[function] / FULL_CPU_MB)
        return times * (answers + step.waits) + work / share

    def gb_seconds(self, function: str, milliseconds: float) -> float:
        """Return the billed GB-seconds of a call."""
        return self.memory[function] / 1024 * milliseconds / 1000


PROD: Mapping[str, str] = {
    "Environment": "prod",
    "Rollout": "Canary10Percent5Minutes",
    "ApiConcurrency": "2",
}
"""The parameters of the stage prod in ``samconfig.toml``."""


def read_deployment(path: Path, parameters: Mapping[str, str] = PROD) -> Deployment:
    """Return the deployed resources of a template, with defaults for all other parameters."""
    template = Template(path, parameters, lambda _, __: {})
    shared = template.globals["Function"]

    def plain(value: Any) -> Any:
        return template.resolve(value, "cost")

    functions = dict(template.of_type("AWS::Serverless::Function"))
    [stream] = dict(template.of_type("AWS::KinesisFirehose::DeliveryStream")).values()
    buffer = stream["ExtendedS3DestinationConfiguration"]["BufferingHints"]
    return Deployment(
        memory={
            name: int(function.get("MemorySize", shared["MemorySize"]))
            for name, function in functions.items()
        },
        arm64=plain(shared["Architectures"][0]) == "arm64",
        sampling=float(plain({"Ref": "TraceSampling"})),
        batches={name: _batch(function.get("Events", {})) for name, function in functions.items()},
        system_logs=shared.get("LoggingConfig", {}).get("SystemLogLevel") != "WARN",
        buffer_seconds=float(plain(buffer["IntervalInSeconds"])),
    )


def _batch(events: Mapping[str, Any]) -> float:
    """Return the number of messages in a batch at the end of its batching window."""
    sources = [
        source["Properties"] for source in events.values() if source["Type"] in ("SQS", "DynamoDB")
    ]
    if not sources:
        return 1.0
    [source] = sources
    readers = STREAM_SHARDS if "StartingPosition" in source else POLLERS
    gathered = PER_DAY / DAY * source.get("MaximumBatchingWindowInSeconds", 0) / readers
    return float(min(max(gathered, 1.0), source["BatchSize"]))
