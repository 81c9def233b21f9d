"""The price of orders that are refused: each has a run, a dead letter and `Order Rejected`."""

from itertools import starmap

from infra.cost.bill import Line, Lines
from infra.cost.deployment import SEND_MS, STATE_MS, TASK_MS, Deployment, Step
from infra.cost.prices import GB, KB, MILLION, PRICES, Prices
from infra.cost.work import RELAY

TOLD = Step(writes=(1,), index=1)
"""Requests of ValidateOrder for an invalid event: the fact in an outbox item of its own."""

SENT = Step(writes=(1, 1), index=1, others=1, waits=SEND_MS)
"""Requests of the relay after the bus has accepted the fact: it is kept by the EventId of the
refused event, and the outbox item is deleted."""

FUNCTION, STATES = "ValidateOrderFunction", 3
"""The only function of such a run, and its states: it fails, is quarantined, and ends."""

EVENTS, LETTERS, RECORD_KB, EVENT_KB = 2, 1, 5, 1
"""The refused event and the fact; the dead letter; a record of Firehose; an event's size."""


def refused(deployment: Deployment, prices: Prices = PRICES) -> Lines:
    """Return the bill of a million orders that break their contract, without logs and alarms."""
    p = prices
    took = deployment.milliseconds(FUNCTION, TOLD)
    run_ms = took + 2 * TASK_MS + SEND_MS + (STATES - 2) * STATE_MS
    seconds = -(-run_ms // p.express_rounding_ms) * p.express_rounding_ms / 1000
    share = 1 / deployment.batches[RELAY]
    gb_seconds = deployment.gb_seconds(FUNCTION, took) + share * deployment.gb_seconds(
        RELAY, deployment.milliseconds(RELAY, SENT)
    )
    second = p.lambda_per_gb_second_arm64 if deployment.arm64 else p.lambda_per_gb_second_x86
    writes = sum(TOLD.writes) + sum(SENT.writes) + TOLD.index + SENT.index
    kilobytes = RECORD_KB * EVENTS
    rows = (
        ("step_functions_requests", 1, "runs", p.express_per_million, MILLION),
        (
            "step_functions_duration",
            seconds * p.express_memory_chunk_mb / 1024,
            "GB-seconds",
            p.express_per_gb_second,
            1,
        ),
        ("lambda_requests", 1 + share, "calls", p.lambda_per_million, MILLION),
        ("lambda_duration", gb_seconds, "GB-seconds", second, 1),
        ("eventbridge_events", EVENTS, "64 KB", p.events_per_million, MILLION),
        ("eventbridge_archived", EVENTS * EVENT_KB, "KB", p.archived_per_gb, GB / KB),
        ("sqs_requests", LETTERS, "requests", p.sqs_per_million, MILLION),
        ("dynamodb_writes", writes, "units of 1 KB", p.writes_per_million, MILLION),
        ("firehose_ingested", kilobytes, "KB, by 5 each", p.firehose_per_gb, GB / KB),
        ("firehose_conversion", RECORD_KB, "KB, by 5 each", p.conversion_per_gb, GB / KB),
    )
    return tuple(starmap(Line, rows))
