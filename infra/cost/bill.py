"""The bill for a million orders, line by line."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import starmap

from infra.cost.deployment import DAY, PER_DAY, SYSTEM_LOG_BYTES, Deployment
from infra.cost.prices import GB, KB, MILLION, PRICES, THOUSAND, Prices
from infra.cost.usage import Usage
from infra.cost.work import CONFIRMATION, Work

REFERENCE_LINES = 2.6
"""Lines of the priced order."""

_GB_OF_KB = GB / KB


@dataclass(frozen=True, slots=True)
class Line:
    """The quantity of a resource per order; ``price`` is in USD for ``per`` units."""

    name: str
    quantity: float
    unit: str
    price: float
    per: float

    @property
    def usd(self) -> float:
        """USD for a million orders."""
        return self.quantity * self.price / self.per * MILLION


Lines = tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Bill:
    """The cost of orders: Step Functions as EXPRESS or STANDARD, the other lines, and mail."""

    express: Lines
    standard: Lines
    rest: Lines
    mail: Line

    @property
    def lines(self) -> Lines:
        """All lines with EXPRESS, without mail."""
        return self.express + self.rest


def total(lines: Lines) -> float:
    """Return the USD of all lines for a million orders."""
    return sum(line.usd for line in lines)


def bill(usage: Usage, deployment: Deployment, prices: Prices = PRICES) -> Bill:
    """Return the bill of reference orders with the given usage each.

    Raises
    ------
    KeyError
        A function of the workflow is missing in `STEPS`: add its DynamoDB requests there.
    """
    p, work = prices, Work(usage, deployment)
    seconds = work.workflow_seconds(p.express_rounding_ms)
    gb_seconds = usage.executions * seconds * p.express_memory_chunk_mb / 1024
    express = (
        ("step_functions_requests", usage.executions, "runs", p.express_per_million, MILLION),
        ("step_functions_duration", gb_seconds, "GB-seconds", p.express_per_gb_second, 1),
    )
    standard = (
        ("step_functions_transitions", usage.states, "states", p.standard_per_million, MILLION),
    )
    mail = Line("ses_mails", usage.mails, "mails", p.mails_per_thousand, THOUSAND)
    rest = (*_functions(work, p), *_events(usage, work, p), *_data(usage, work, p))
    return Bill(tuple(starmap(Line, express)), tuple(starmap(Line, standard)), rest, mail)


def _functions(work: Work, p: Prices) -> Lines:
    second = p.lambda_per_gb_second_arm64 if work.deployment.arm64 else p.lambda_per_gb_second_x86
    rows = (
        ("lambda_requests", work.calls, "calls", p.lambda_per_million, MILLION),
        ("lambda_duration", work.gb_seconds(), "GB-seconds", second, 1),
        ("cloudwatch_logs", work.logged() / KB, "KB", p.logs_per_gb, _GB_OF_KB),
        ("xray_traces", work.traces(), "traces", p.traces_per_million, MILLION),
    )
    return tuple(starmap(Line, rows))


def _events(usage: Usage, work: Work, p: Prices) -> Lines:
    # mails are sent one by one, and received and deleted in batches
    messages = work.confirmations + 2 * work.batched[CONFIRMATION]
    rows = (
        ("eventbridge_events", usage.event_units, "64 KB", p.events_per_million, MILLION),
        ("http_api_requests", usage.http_requests, "requests", p.http_api_per_million, MILLION),
        ("sqs_requests", messages, "requests", p.sqs_per_million, MILLION),
    )
    return tuple(starmap(Line, rows))


def _data(usage: Usage, work: Work, p: Prices) -> Lines:
    writes = sum(
        count * step.write_units(REFERENCE_LINES, p.transaction_multiplier)
        for step, count in work.steps()
    )
    reads = sum(count * step.reads for step, count in work.steps())
    rows, puts = usage.firehose_bytes / KB, DAY / work.deployment.buffer_seconds / PER_DAY
    table = (
        ("dynamodb_writes", writes, "units of 1 KB", p.writes_per_million, MILLION),
        ("dynamodb_reads", reads, "units of 4 KB", p.reads_per_million, MILLION),
        ("firehose_ingested", rows, "KB, by 5 each", p.firehose_per_gb, _GB_OF_KB),
        ("firehose_conversion", rows, "KB, by 5 each", p.conversion_per_gb, _GB_OF_KB),
        ("s3_puts", puts, "files", p.puts_per_thousand, THOUSAND),
    )
    return tuple(starmap(Line, table))


# ---- the straightforward design

_IN_TRANSACTION = 2 * (1 + REFERENCE_LINES)

ITEMS_WRITTEN: Mapping[str, float] = {
    "ValidateOrder: the order": 1,
    "CheckInventory: the order and the stock of its lines, in a transaction": _IN_TRANSACTION,
    "ProcessPayment: the charge PENDING, the charge CHARGED, the order": 3,
    "UpdateInventory: the order and the stock of its lines, in a transaction": _IN_TRANSACTION,
    "CreateShipment: the shipment, the order": 2,
    "OrderCompleted: the order and its event, in a transaction": 4,
    "each of these: a line of the timeline": 6,
    "SendConfirmation: the mark of the mail": 1,
}
"""Write units of a design with an item for every fact."""

FUNCTIONS, FUNCTION_SECONDS, FUNCTION_GB = 7, 0.1, 0.25


def straightforward(prices: Prices = PRICES) -> Lines:
    """Return the bill of a straightforward design for comparison, without mail.

    One Standard workflow of nine states (ours without ``FulfillmentChoice``), of which seven are
    functions at 256 MB on x86, 100 ms each, with Lambda's own three lines of log; every run is
    traced; an item for every fact (`ITEMS_WRITTEN`), and a read at each step; Order Created and
    Order Completed on the bus and, by Firehose, in Parquet.
    """
    p, writes, events = prices, sum(ITEMS_WRITTEN.values()), 2
    seconds, logs = FUNCTIONS * FUNCTION_SECONDS * FUNCTION_GB, FUNCTIONS * SYSTEM_LOG_BYTES / KB
    rows = (
        ("step_functions_transitions", 9, "states", p.standard_per_million, MILLION),
        ("lambda_requests", FUNCTIONS, "calls", p.lambda_per_million, MILLION),
        ("lambda_duration", seconds, "GB-seconds", p.lambda_per_gb_second_x86, 1),
        ("cloudwatch_logs", logs, "KB", p.logs_per_gb, _GB_OF_KB),
        ("xray_traces", 1, "traces", p.traces_per_million, MILLION),
        ("eventbridge_events", events, "64 KB", p.events_per_million, MILLION),
        ("dynamodb_writes", writes, "units of 1 KB", p.writes_per_million, MILLION),
        ("dynamodb_reads", FUNCTIONS, "units of 4 KB", p.reads_per_million, MILLION),
        ("firehose_ingested", 5 * events, "KB, by 5 each", p.firehose_per_gb, _GB_OF_KB),
        ("firehose_conversion", 5 * events, "KB, by 5 each", p.conversion_per_gb, _GB_OF_KB),
    )
    return tuple(starmap(Line, rows))
