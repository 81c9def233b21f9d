"""The price of approvals: the services that each decision on the reviewer's page uses.

Its wait is an execution of order_approval, and a second run of order_processing follows.
"""

from collections.abc import Mapping
from itertools import starmap

from infra.cost.bill import Line, Lines
from infra.cost.deployment import SEND_MS, SES_MS, STATE_MS, TASK_MS, Deployment, Step
from infra.cost.prices import MILLION, PRICES, THOUSAND, Prices
from infra.cost.work import API, CONFIRMATION, RELAY

PAGE = "page"

ADDED: Mapping[str, Step] = {
    "ProcessPaymentFunction": Step(reads=1),
    "RequestApprovalFunction": Step(reads=1, writes=(1,), index=2),
    # the task's token makes the order's item larger than 1 KB until the decision
    CONFIRMATION: Step(reads=2, writes=(2, 1), others=1, waits=SES_MS),
    PAGE: Step(reads=1),
    API: Step(reads=2, writes=(2,), index=2),
    RELAY: Step(writes=(2,), others=1, waits=SEND_MS),
    "ValidateOrderFunction": Step(reads=1, writes=(1,), index=2),
    "CheckInventoryFunction": Step(reads=1),
}
"""Requests of each function that a decision adds; `PAGE` is the API's call that shows the page."""

TASKS = (
    "ProcessPaymentFunction",
    "RequestApprovalFunction",
    "ValidateOrderFunction",
    "CheckInventoryFunction",
)
"""Functions of the runs of order_processing that a decision calls once more."""

OTHER_TASKS, OTHER_STATES = 1, 2
"""Their other states: StartApproval; OrderAwaitsApproval, and InventoryChoice again."""

TRANSITIONS, RUNS, MESSAGES = 2, 1, 3
"""States of order_approval, a run, and the requests of a message in ConfirmationsQueue."""


def approved(deployment: Deployment, prices: Prices = PRICES) -> Lines:
    """Return what a million decisions add to the bill, without logs and alarms."""
    p = prices
    took = {name: deployment.milliseconds(_function(name), step) for name, step in ADDED.items()}
    run_ms = sum(took[name] + TASK_MS for name in TASKS)
    run_ms += OTHER_TASKS * (TASK_MS + SEND_MS) + OTHER_STATES * STATE_MS
    # two runs are rounded up in place of one
    seconds = (run_ms + p.express_rounding_ms / 2) / 1000
    shares = {name: 1 / deployment.batches.get(name, 1.0) for name in ADDED}
    gb_seconds = sum(
        deployment.gb_seconds(_function(name), milliseconds) for name, milliseconds in took.items()
    )
    second = p.lambda_per_gb_second_arm64 if deployment.arm64 else p.lambda_per_gb_second_x86
    writes = sum(sum(step.writes) + step.index for step in ADDED.values())
    reads = sum(step.reads for step in ADDED.values())
    chunks = seconds * p.express_memory_chunk_mb / 1024
    rows = (
        ("step_functions_transitions", TRANSITIONS, "states", p.standard_per_million, MILLION),
        ("step_functions_requests", RUNS, "runs", p.express_per_million, MILLION),
        ("step_functions_duration", chunks, "GB-seconds", p.express_per_gb_second, 1),
        ("lambda_requests", sum(shares.values()), "calls", p.lambda_per_million, MILLION),
        ("lambda_duration", gb_seconds, "GB-seconds", second, 1),
        ("http_api_requests", 2, "requests", p.http_api_per_million, MILLION),
        ("sqs_requests", MESSAGES, "requests", p.sqs_per_million, MILLION),
        ("dynamodb_writes", writes, "units of 1 KB", p.writes_per_million, MILLION),
        ("dynamodb_reads", reads, "units of 4 KB", p.reads_per_million, MILLION),
        ("ses_mails", 1, "mails", p.mails_per_thousand, THOUSAND),
    )
    return tuple(starmap(Line, rows))


def _function(name: str) -> str:
    return API if name == PAGE else name
