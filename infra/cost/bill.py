"""The bill for a million orders, line by line."""

from dataclasses import dataclass
from itertools import starmap

from infra.cost.deployment import DAY, PER_DAY, Deployment
from infra.cost.prices import GB, KB, MILLION, PRICES, THOUSAND, Prices
from infra.cost.usage import Usage
from infra.cost.work import CONFIRMATION, Work

REFERENCE_LINES = 2.6
"""Lines of the priced order."""

_GB_OF_KB = GB / KB


@dataclass(frozen=True, slots=True)
class Line:
    """The quantity of a resource per order; ``price`` is in USD for ``per`` units.

    ``times`` is 1 for a quantity that is no order's, such as that of a month.
    """

    name: str
    quantity: float
    unit: str
    price: float
    per: float
    times: float = MILLION

    @property
    def usd(self) -> float:
        """USD for a million orders, or for ``times`` of what the quantity is of."""
        return self.quantity * self.price / self.per * self.times


Lines = tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Bill:
    """The cost of orders: Step Functions as EXPRESS or STANDARD, the other lines, and mail.

    ``over_1kb`` is the cost of more writes if an order's item is over 1 KB once it is shipped.
    """

    express: Lines
    standard: Lines
    rest: Lines
    mail: Line
    over_1kb: Line

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
    most = work.write_units(REFERENCE_LINES, p.transaction_multiplier, over_1kb=True)
    least = work.write_units(REFERENCE_LINES, p.transaction_multiplier, over_1kb=False)
    over = Line("over_1kb", most - least, "units of 1 KB", p.writes_per_million, MILLION)
    return Bill(tuple(starmap(Line, express)), tuple(starmap(Line, standard)), rest, mail, over)


def _functions(work: Work, p: Prices) -> Lines:
    second = p.lambda_per_gb_second_arm64 if work.deployment.arm64 else p.lambda_per_gb_second_x86
    rows = (
        ("lambda_requests", work.calls, "calls", p.lambda_per_million, MILLION),
        ("lambda_duration", work.gb_seconds(), "GB-seconds", second, 1),
        ("lambda_init", work.init_gb_seconds(), "GB-seconds", second, 1),
        ("cloudwatch_logs", work.logged() / KB, "KB", p.logs_per_gb, _GB_OF_KB),
        ("xray_traces", work.traces(), "traces", p.traces_per_million, MILLION),
    )
    return tuple(starmap(Line, rows))


def _events(usage: Usage, work: Work, p: Prices) -> Lines:
    # at a few a second for each poller, messages are received one by one, and deleted in batches
    messages = 2 * work.confirmations + work.batched[CONFIRMATION]
    rows = (
        ("eventbridge_events", usage.event_units, "64 KB", p.events_per_million, MILLION),
        ("eventbridge_archived", usage.event_bytes / KB, "KB", p.archived_per_gb, _GB_OF_KB),
        ("http_api_requests", usage.http_requests, "requests", p.http_api_per_million, MILLION),
        ("sqs_requests", messages, "requests", p.sqs_per_million, MILLION),
    )
    return tuple(starmap(Line, rows))


def _data(usage: Usage, work: Work, p: Prices) -> Lines:
    writes = work.write_units(REFERENCE_LINES, p.transaction_multiplier, over_1kb=False)
    rows, puts = usage.firehose_bytes / KB, DAY / work.deployment.buffer_seconds / PER_DAY
    table = (
        ("dynamodb_writes", writes, "units of 1 KB", p.writes_per_million, MILLION),
        ("dynamodb_reads", work.read_units(), "units of 4 KB", p.reads_per_million, MILLION),
        ("firehose_ingested", rows, "KB, by 5 each", p.firehose_per_gb, _GB_OF_KB),
        ("firehose_conversion", rows, "KB, by 5 each", p.conversion_per_gb, _GB_OF_KB),
        ("s3_puts", puts, "files", p.puts_per_thousand, THOUSAND),
        ("athena_scanned", work.scanned() / KB, "KB", p.scanned_per_gb, _GB_OF_KB),
    )
    return tuple(starmap(Line, table))
