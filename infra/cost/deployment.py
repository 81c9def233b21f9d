"""The declared model of AWS: what the template deploys, how long it takes, what it asks DynamoDB.

Nothing here is measured on this machine. `STEPS` is what the code of each function does for an
order; ``tests/integration/test_cost.py`` holds it to the adapters in ``services/*/dynamodb.py``.
The times are assumed, save where a source is named.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.template.loader import Template

PER_DAY = 1_000_000
"""Orders a day, evenly: 11.6 a second. How full batches are follows from that."""

DAY = 86_400

WHOLE_CPU_MB = 1_769
"""Memory with which a function has one whole vCPU (Lambda, Configure function memory)."""

CPU_CALL_MS, CPU_REQUEST_MS, CPU_RECORD_MS = 1.5, 1.5, 0.1
"""Milliseconds on a whole vCPU: Powertools and JSON of a call, one boto3 request, one row."""

READ_MS, WRITE_MS, TRANSACTION_MS, SEND_MS = 4, 6, 12, 10
"""Milliseconds until DynamoDB answers (its introduction: single digits), and SQS or EventBridge."""

GATEWAY_MS, CARRIER_MS, SES_MS = 150, 150, 50
"""Milliseconds until others answer; on AWS the sandbox stands for a gateway and a carrier."""

TASK_MS, STATE_MS = 20, 2
"""Milliseconds that Step Functions adds to a task, and takes for any other state."""

EMF_BYTES, ACCESS_LOG_BYTES, SYSTEM_LOG_BYTES = 250, 300, 420
"""Bytes in CloudWatch Logs: an invocation's metrics, a request's line, START, END and REPORT."""

FIREHOSE_CHUNK = 1024 * 1024
"""Bytes of events that Firehose hands to its processor at once (Data transformation, default)."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a function asks of others.

    Parameters
    ----------
    reads : float
        Consistent reads, each of up to 4 KB.
    writes : tuple of float
        Units of 1 KB of each write to one item.
    transaction : float
        Units of 1 KB of the order's item in its transaction; every line is another unit there.
    index : float
        Units that the index takes: an entry made, and one taken away.
    others : float
        Requests to others than DynamoDB, for whom it ``waits`` so many milliseconds in all.
    rows : float
        Rows that it makes of events.
    metrics : int
        Whether its calls end with metrics, a line of log.
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
        """Return the units written, of the table and its index, for an order of so many lines."""
        moved = (self.transaction + lines) * multiplier if self.transaction else 0
        return sum(self.writes) + self.index + moved


STEPS: Mapping[str, Step] = {
    "OrdersApiFunction": Step(reads=1, writes=(2,), metrics=1),
    # its entry in the index, which an order placed over HTTP has before
    "ValidateOrderFunction": Step(reads=1, writes=(1,), index=1),
    "CheckInventoryFunction": Step(reads=1, transaction=1),
    "ProcessPaymentFunction": Step(reads=1, writes=(1, 1), others=1, waits=GATEWAY_MS),
    "UpdateInventoryFunction": Step(reads=1, transaction=1),
    "CreateShipmentFunction": Step(reads=1, writes=(1,), others=1, waits=CARRIER_MS),
    # its event lies in the outbox, beside the order: over 1 KB until the relay has sent it
    "CompleteOrderFunction": Step(reads=1, writes=(2,), metrics=1),
    "SendConfirmationFunction": Step(reads=2, writes=(1,), others=1, waits=SES_MS, metrics=1),
}
"""What each function of the happy path does, by its name in the template."""

RELAYED: Mapping[str, Step] = {
    "Order Created": Step(writes=(2,)),
    "Order Completed": Step(writes=(2,), index=2),
}
"""What the relay does once an event out of the outbox is accepted."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the template deploys; ``memory`` in MB, ``batches`` are messages a call."""

    memory: Mapping[str, int]
    arm64: bool
    sampling: float
    batches: Mapping[str, float]
    system_logs: bool
    buffer_seconds: float

    def milliseconds(self, function: str, step: Step, times: float = 1) -> float:
        """Return how long a call takes that does a step so many times, one after the other."""
        writes, transactions = len(step.writes), bool(step.transaction)
        requests = step.reads + writes + transactions + step.others
        work = CPU_CALL_MS + times * (requests * CPU_REQUEST_MS + step.rows * CPU_RECORD_MS)
        answers = step.reads * READ_MS + writes * WRITE_MS + transactions * TRANSACTION_MS
        share = min(1.0, self.memory[function] / WHOLE_CPU_MB)
        return times * (answers + step.waits) + work / share

    def gb_seconds(self, function: str, milliseconds: float) -> float:
        """Return what so long a call is charged as."""
        return self.memory[function] / 1024 * milliseconds / 1000


def read_deployment(path: Path) -> Deployment:
    """Return what a template deploys with its parameters' defaults."""
    template = Template(path, {}, lambda _, __: {})
    shared = template.globals["Function"]

    def plain(value: Any) -> Any:
        return template.resolve(value, "cost")

    functions = dict(template.of_type("AWS::Serverless::Function"))
    [stream] = dict(template.of_type("AWS::KinesisFirehose::DeliveryStream")).values()
    buffer = stream["ExtendedS3DestinationConfiguration"]["BufferingHints"]
    return Deployment(
        memory={
            name: int(one.get("MemorySize", shared["MemorySize"]))
            for name, one in functions.items()
        },
        arm64=plain(shared["Architectures"][0]) == "arm64",
        sampling=float(plain({"Ref": "TraceSampling"})),
        batches={name: _batch(one.get("Events", {})) for name, one in functions.items()},
        system_logs=shared.get("LoggingConfig", {}).get("SystemLogLevel") != "WARN",
        buffer_seconds=float(buffer["IntervalInSeconds"]),
    )


def _batch(events: Mapping[str, Any]) -> float:
    """Return how many messages come together while a batch is gathered."""
    sources = [one["Properties"] for one in events.values() if one["Type"] in ("SQS", "DynamoDB")]
    if not sources:
        return 1.0
    [source] = sources
    gathered = PER_DAY / DAY * source.get("MaximumBatchingWindowInSeconds", 0)
    return float(min(max(gathered, 1.0), source["BatchSize"]))
