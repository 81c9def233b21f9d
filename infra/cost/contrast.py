"""A design for contrast: each choice that this template avoids for its price, taken.

It is no measured system and no advice of AWS. Most of its cost is the choice of a Standard
workflow, which this template offers as well; see ``standard_total`` of ``orders cost``.
"""

from collections.abc import Mapping
from itertools import starmap

from infra.cost.bill import REFERENCE_LINES, Line, Lines
from infra.cost.deployment import SYSTEM_LOG_BYTES
from infra.cost.prices import GB, KB, MILLION, PRICES, Prices

_GB_OF_KB = GB / KB
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


def contrast(prices: Prices = PRICES) -> Lines:
    """Return the bill of the design for contrast, without mail.

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
