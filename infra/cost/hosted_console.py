"""The price of the hosted console: an hour of one tab with the overview, in one environment.

Without an open tab it costs nothing: it has no alarm, no provisioned concurrency, and a user pool
whose first 10,000 users of a month are free (Amazon Cognito pricing, Essentials).
`tests/integration/test_stack_console_cost.py` counts the requests of a poll.
"""

from itertools import starmap
from pathlib import Path

from infra.cost.bill import Line, Lines
from infra.cost.deployment import PROD, read_deployment
from infra.cost.monthly import FAILURE_REASONS
from infra.cost.prices import MILLION, PRICES, THOUSAND, Prices

FUNCTION = "ConsoleFunction"

POLLS = 240
"""Polls of a tab in an hour, one in 15 seconds."""

READS = 60
"""Readings of CloudWatch, queues and alarms in an hour: they are kept for a minute."""

READ_SECONDS, POLL_SECONDS = 1.5, 0.1
"""Durations of a poll that reads them, about 60 calls, and of another one."""

FIGURES, OF_A_REASON = 18, 2
"""Metrics of a reading, and those of each reason of a failure."""

OTHER_CALLS = 2
"""Calls of CloudWatch that list alarms and reasons."""

QUERIES, OPEN = 16, 100
"""Queries of the table's index in each poll, and open orders that are then read."""

QUEUES = 13


def hour_of_console(path: Path, prices: Prices = PRICES) -> Lines:
    """Return the price of an hour of an open overview, with `OPEN` open orders."""
    p, deployment = prices, read_deployment(path, {**PROD, "Console": "hosted"})
    second = p.lambda_per_gb_second_arm64 if deployment.arm64 else p.lambda_per_gb_second_x86
    seconds = READS * READ_SECONDS + (POLLS - READS) * POLL_SECONDS
    duration = deployment.gb_seconds(FUNCTION, seconds * 1e3)
    metrics = READS * (FIGURES + OF_A_REASON * FAILURE_REASONS)
    reads = POLLS * (QUERIES + OPEN) / 2  # half a unit: eventually consistent
    asked = p.metrics_asked_per_thousand
    rows = (
        ("http_api_requests", POLLS, "requests", p.http_api_per_million, MILLION, 1),
        ("lambda_requests", POLLS, "calls", p.lambda_per_million, MILLION, 1),
        ("lambda_duration", duration, "GB-seconds", second, 1, 1),
        ("cloudwatch_metrics", metrics + READS * OTHER_CALLS, "requests", asked, THOUSAND, 1),
        ("dynamodb_reads", reads, "units of 4 KB", p.reads_per_million, MILLION, 1),
        ("sqs_requests", READS * QUEUES, "requests", p.sqs_per_million, MILLION, 1),
    )
    return tuple(starmap(Line, rows))
