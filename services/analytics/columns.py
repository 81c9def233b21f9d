"""The analysts' tables: each column with its type and its meaning.

This is the one definition of the Parquet files on one machine, of the Glue tables in
``template.yaml``, of the views and of ``docs/data-dictionary.md``; `make queries` generates the
last three.

A column of the files has one of the types that Firehose's OpenX JSON SerDe has a reader for:
string, int, bigint, timestamp, and arrays and structs of these (Hive-JSON-Serde,
`JsonObjectInspectorFactory`; Amazon Data Firehose, "Convert input data format": nested JSON is a
STRUCT of the schema). It has none for decimal and would use Hive's, without the column's precision.
Amounts are therefore text in the files, and decimals in the views.
"""

from typing import NamedTuple


class Column(NamedTuple):
    """A column of a table: its name, its Glue type, and its meaning."""

    name: str
    type: str
    meaning: str


AMOUNT = "decimal(18,2)"

REQUEST, PLATFORM, EXTERNAL = "request", "platform", "external"
"""Values of the column ``origin``."""

RAW = (
    Column("event_id", "string", "Id of the event, the same for every delivery and replay."),
    Column("event_type", "string", "Detail type, such as Order Completed."),
    Column("event_time", "timestamp", "Time that the event states, in UTC."),
    Column("order_id", "string", "Id of the order."),
    Column("customer_id", "string", "Id of the customer; null for changes and cancellations."),
    Column("currency", "string", "ISO 4217 code of total and amount."),
    Column("total", "string", "Total of the order, as text with two decimals."),
    Column("amount", "string", "Refunded amount, as text with two decimals."),
    Column("units", "int", "Sum of the quantities of all lines."),
    Column("line_count", "int", "Number of lines."),
    Column(
        "lines",
        "array<struct<sku:string,quantity:int,unit_price:string>>",
        "Lines of the order; unit_price is text with two decimals.",
    ),
    Column(
        "missing",
        "array<struct<sku:string,requested:bigint,available:bigint>>",
        "Lines that stock does not cover, with the requested and the available units.",
    ),
    Column("ship_country", "string", "Country of the shipping address, of Order Created alone."),
    Column("reason", "string", "The platform's reason of a failure, refusal or refund."),
    Column("correlation_id", "string", "Same for all events that result from one request."),
    Column("causation_id", "string", "Id of the event that caused this event."),
    Column("schema_version", "string", "Version of the event's contract."),
    Column(
        "origin",
        "string",
        "request: asked of the platform; platform: a fact that the platform stated; external: a"
        " fact that another sender stated, which no view has. Null in older files.",
    ),
    Column(
        "replay_name",
        "string",
        "Name of the replay that delivered the event: of the archive, or metadata.replay_name of an"
        " event that was replayed from a file. Null for a first delivery.",
    ),
    Column("arrived_at", "timestamp", "Time at which Firehose accepted this delivery, in UTC."),
)
"""Columns of the files, and of the table ``order_events_raw``."""

COLUMNS = {column.name: column.type for column in RAW}
"""Glue type of each column of the files."""

PARTITION = "dt"
"""The partition key: the day of arrival in UTC as text, such as ``2026-01-31``."""

DAY = Column(PARTITION, "string", "Day of arrival in UTC, from the folder: 2026-01-31.")

ORDER_EVENTS = (
    *(
        column._replace(
            type=AMOUNT, meaning=column.meaning.replace(", as text with two decimals", "")
        )
        if column.name in ("total", "amount")
        else column
        for column in RAW
    ),
    DAY,
)
"""Columns of the view ``order_events``: every event once, without facts of other senders."""

_PLACED_AT = Column("placed_at", "timestamp", "Time of the order by its own statement, in UTC.")
_SHIP_COUNTRY = Column("ship_country", "string", "Country of the shipping address.")

ORDERS = (
    Column("order_id", "string", "Id of the order."),
    Column("customer_id", "string", "Id of the customer."),
    Column("status", "string", "COMPLETED, FAILED, CANCELLED, WAITING (for stock) or RECEIVED."),
    Column("reason", "string", "Reason of a failed order, such as PaymentDeclined."),
    Column("currency", "string", "ISO 4217 code of total and refunded."),
    Column("total", AMOUNT, "Total of the order that the platform processed."),
    Column("units", "int", "Sum of the quantities of all lines."),
    Column("line_count", "int", "Number of lines."),
    _SHIP_COUNTRY,
    _PLACED_AT,
    Column("received_at", "timestamp", "First arrival of Order Created, in UTC."),
    Column(
        "ended_at", "timestamp", "First arrival of the outcome, in UTC; null for an open order."
    ),
    Column("seconds", "double", "Seconds from the arrival of the order to its outcome's."),
    Column("waits", "bigint", "Number of times that stock did not cover the order."),
    Column("refunded", AMOUNT, "Refunded amount, 0 without a refund."),
    Column("high_value", "boolean", "Whether the order was flagged for its value."),
)
"""Columns of the view ``orders``: one row an order."""

ORDER_LINES = (
    *(column for column in ORDERS if column.name in ("order_id", "customer_id", "status")),
    Column("currency", "string", "ISO 4217 code of unit_price and amount."),
    _PLACED_AT,
    Column("ended_at", "timestamp", "First arrival of the order's outcome, in UTC."),
    _SHIP_COUNTRY,
    Column("sku", "string", "Stock keeping unit."),
    Column("quantity", "int", "Units of the line."),
    Column("unit_price", AMOUNT, "Price of one unit."),
    Column("amount", AMOUNT, "quantity times unit_price."),
)
"""Columns of the view ``order_lines``: one row a line of an order."""

VIEWS = {"order_events": ORDER_EVENTS, "orders": ORDERS, "order_lines": ORDER_LINES}
"""Columns of each view, in the order in which the views build on each other."""
