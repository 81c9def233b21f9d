"""The usage of an order on the happy path in a run: averages, read from the journal."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from infra.asl import HistoryEvent
from infra.cost.prices import KB
from infra.local.engine.history_pieces import events_in
from kernel.events import REQUESTS
from storage.sqlite.database import Database

SAMPLE = 500
"""Number of orders in the sample: the newest ones."""

LOG_TAIL = 8 * 1024 * KB
"""Bytes at the end of the functions' log that are read."""

FIREHOSE_ROUNDING, EVENT_ROUNDING = 5 * KB, 64 * KB
"""Bytes that a record is rounded up to (Amazon Data Firehose pricing; EventBridge pricing)."""

HAPPY = (
    "RECEIVED",
    "CLAIMED",
    "STOCK_RESERVED",
    "CHARGE_PENDING",
    "CHARGED",
    "STOCK_COMMITTED",
    "SHIPMENT_CREATED",
    "CONFIRMATION_SENT",
    "COMPLETED",
)
"""All entries in the timeline of such an order; an order placed over HTTP has CLAIMED as well."""

_ORDERS = f"""
    select order_id, json_array_length(items) as lines,
        (select count(*) from timeline t where t.order_id = o.order_id and what = 'CLAIMED')
            as over_http,
        (select count(*) from timeline t where t.order_id = o.order_id
            and what = 'CONFIRMATION_SENT') as mails
    from orders o
    where status = 'COMPLETED' and email is not null
        and (select count(*) from executions e where e.order_id = o.order_id) = 1
        and not exists (select 1 from timeline t where t.order_id = o.order_id
            and what not in ({", ".join(f"'{what}'" for what in HAPPY)}))
    order by created_at desc limit {SAMPLE}
"""
_HISTORIES = """
    select e.order_id, h.piece from executions e join history h on h.execution_id = e.id
    where e.order_id in (select value from json_each(?)) order by h.id
"""
_EVENTS = """
    select order_id, detail_type, length(cast(envelope as blob)) as bytes from events
    where order_id in (select value from json_each(?))
"""


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage of one order, as an average over ``orders`` orders.

    ``functions`` are calls by the function's name in the template, ``messages`` sent messages by
    the queue's name, ``events`` those on the bus by type, ``relayed`` those from the outbox.
    ``event_units`` are billed units of events; ``firehose_bytes`` are rounded up as by Firehose.
    """

    orders: int
    lines: float
    executions: float
    states: float
    functions: Mapping[str, float]
    messages: Mapping[str, float]
    events: Mapping[str, float]
    relayed: Mapping[str, float]
    event_units: float
    event_bytes: float
    firehose_bytes: float
    mails: float
    http_requests: float
    log_bytes: float


def read_usage(database: Database, log: Path) -> Usage | None:
    """Return the usage of orders on the happy path, or None; ``log`` is the functions' log."""
    orders = {row["order_id"]: row for row in database.rows(_ORDERS)}
    steps = {order_id: Counter[tuple[str, str]]() for order_id in orders}
    order_ids = orjson.dumps(list(orders)).decode()
    for row in database.rows(_HISTORIES, order_ids):
        steps[row["order_id"]].update(_steps(events_in(row["piece"])))
    happy = [order_id for order_id in orders if ("failed", "") not in steps[order_id]]
    if not happy:
        return None
    total = sum((steps[order_id] for order_id in happy), Counter[tuple[str, str]]())
    over_http = {order_id for order_id in happy if orders[order_id]["over_http"]}
    events = [row for row in database.rows(_EVENTS, order_ids) if row["order_id"] in set(happy)]
    relayed = [
        row for row in events if row["detail_type"] not in REQUESTS or row["order_id"] in over_http
    ]
    number = len(happy)

    def average(kind: str) -> dict[str, float]:
        return {name: count / number for (step, name), count in total.items() if step == kind}

    def types(rows: list[Any]) -> dict[str, float]:
        counts = Counter(row["detail_type"] for row in rows)
        return {name: count / number for name, count in counts.items()}

    return Usage(
        orders=number,
        lines=sum(orders[order_id]["lines"] for order_id in happy) / number,
        executions=total["execution", ""] / number,
        states=sum(average("state").values()),
        functions=average("function"),
        messages=average("message"),
        events=types(events),
        relayed=types(relayed),
        event_units=sum(-(-row["bytes"] // EVENT_ROUNDING) for row in events) / number,
        event_bytes=sum(row["bytes"] for row in events) / number,
        firehose_bytes=sum(_rounded(row["bytes"], FIREHOSE_ROUNDING) for row in events) / number,
        mails=sum(orders[order_id]["mails"] for order_id in happy) / number,
        http_requests=len(over_http) / number,
        log_bytes=_logged(log, set(happy)) / number,
    )


def _steps(history: Iterable[HistoryEvent]) -> Iterator[tuple[str, str]]:
    """Yield the start, states, calls and failures in an execution's events."""
    for event in history:
        kind, details = event.type, event.details
        if kind == "ExecutionStarted":
            yield "execution", ""
        elif kind.endswith("StateEntered"):
            yield "state", details["name"]
        elif kind.endswith(("Failed", "TimedOut", "Aborted")):
            yield "failed", ""
        elif kind.endswith("Scheduled"):
            parameters = details.get("parameters", {})
            if "FunctionName" in parameters:
                yield "function", _name(parameters["FunctionName"])
            elif "QueueUrl" in parameters:
                yield "message", _name(parameters["QueueUrl"])


def _name(reference: str) -> str:
    """Return a resource's name from its ARN, with or without an alias, or its URL."""
    _, separator, function = reference.partition(":function:")
    return function.partition(":")[0] if separator else reference.rpartition("/")[2]


def _rounded(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def _logged(log: Path, orders: set[str]) -> int:
    """Return the bytes of those of the log's last lines that are about these orders."""
    if not log.exists():
        return 0
    with log.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_TAIL))
        return sum(len(line) for line in file if _about(line) in orders)


def _about(line: bytes) -> object:
    try:
        return orjson.loads(line).get("order_id")
    except (orjson.JSONDecodeError, AttributeError):
        return None
