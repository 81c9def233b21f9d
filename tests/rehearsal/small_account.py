"""The rehearsal in a small Lambda account: calls are throttled, start cold, and time out.

MiniStack throttles calls beyond the account's concurrency, and ends a call at its function's
timeout. `tests.rehearsal.faulty_handler` takes the time of a cold start, and does not answer.
"""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from datetime import UTC, datetime, timedelta

from botocore.exceptions import ClientError

from infra.cli.generator import Generated
from infra.local.settle import LEASE
from infra.local.workers.account import Limits, described
from infra.terminal.output import Terminal
from tests.fakes.completing import completing
from tests.rehearsal import comparison, one_machine
from tests.rehearsal.comparison import Row
from tests.rehearsal.deployed_host import DeployedHost, Stack
from tests.rehearsal.deployment import Pace, deploy
from tests.rehearsal.ministack import MiniStack, RehearsalError
from tests.rehearsal.outcome import Outcome

PACE = Pace(patience=1, visibility=30, receives=None)
"""The template's own timeouts and receives: a call that times out has to end."""

ORDERS, SEED = 24, 7

PATIENCE = 1500.0
"""Maximum seconds until every order has ended: a deferred order waits up to 300 s, or twice."""

QUIET = 5.0
"""Seconds without work after which the clock is moved to the next lease."""

EXCLUDED = {
    "paths": "a path has a pause wherever a call failed at every retry, which chance decides",
    "errors of throttled calls": "MiniStack tells Lambda.Unknown, AWS"
    " Lambda.TooManyRequestsException: one retrier has both",
    "warm calls": "they take the time that they need here, not 0.2 s",
    "idle environments": "MiniStack's own time to keep them",
    "waits after a pause": "the functions' clock is moved, and the reconciler starts the orders",
    "visibility timeout": f"{PACE.visibility} s instead of minutes",
    "order of chance": "the calls that time out follow from no seed",
    "orders that cannot complete": "a declined card is no fault of Lambda",
    "1,000 orders": "each concurrent call is a process here; one machine shows it"
    " (make small-account)",
}
"""Exclusions from the profile, by name, with the reason."""

FAULTS = ("throttled", "cold", "timed_out")

_TICK = 1.0

_IGNORED = {"paths"}


def rehearse(console: Terminal, stack: MiniStack, limits: Limits, count: int) -> list[Row]:
    """Return the facts of orders that can complete: one machine has no faults, MiniStack has them.

    Raises
    ------
    RehearsalError
        An order has not ended in time, or a fault of the limits did not happen.
    """
    orders = completing(count, SEED)
    here, here_stock = one_machine.generated(orders)
    began = time.monotonic()
    deployment = deploy(stack, PACE)
    console.print(
        f"MiniStack: {len(deployment.names)} resources deployed in"
        f" {time.monotonic() - began:.0f} s, with the faults {described(limits)}"
    )
    for name, why in EXCLUDED.items():
        console.print(f"  excluded: {name}: {why}")
    shared = Stack(stack, deployment)
    stack.configure(_SFN_WAIT_SCALE=1)
    side = _Host(shared, "F")
    side.receive(**orders.receipt.units)
    began = time.monotonic()
    side.put_all(orders)
    side.settle()
    counts = _counts(stack, shared)
    console.print(
        f"MiniStack: {count} orders ended in {time.monotonic() - began:.0f} s; calls"
        f" throttled: {counts['throttled']}, begun cold: {counts['cold']},"
        f" timed out: {counts['timed_out']}; {side.reconciled} runs of the reconciler"
    )
    missing = [fault for fault in _expected(limits) if not counts[fault]]
    if missing:
        raise RehearsalError(f"no call was {' or '.join(missing)}; send more orders (--orders)")
    return list(_rows(orders, here, side, here_stock))


def _expected(limits: Limits) -> Iterator[str]:
    default = Limits()
    for fault, member in zip(FAULTS, ("concurrency", "cold", "timeouts"), strict=True):
        if getattr(limits, member) != getattr(default, member):
            yield fault


def _counts(stack: MiniStack, shared: Stack) -> Counter[str]:
    """Return the number of calls by fault."""
    counts = Counter(line.split()[0] for line in stack.faults.read_text().splitlines())
    metrics, now = shared.deployment.client("cloudwatch"), datetime.now(UTC)
    for name in shared.deployment.names.values():
        answer = metrics.get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName="Throttles",
            Dimensions=[{"Name": "FunctionName", "Value": name}],
            StartTime=now - timedelta(hours=2),
            EndTime=now + timedelta(minutes=5),
            Period=60,
            Statistics=["Sum"],
        )
        counts["throttled"] += int(sum(point["Sum"] for point in answer["Datapoints"]))
    return counts


def _rows(
    orders: Generated, here: dict[str, Outcome], side: "_Host", here_stock: str
) -> Iterator[Row]:
    kinds = {event["detail"]["order_id"]: kind for kind, event in orders.events}
    assert {field.name for field in fields(Outcome)} > _IGNORED
    for row in comparison.rows_of_orders(kinds, here, side.orders()):
        if row.field not in _IGNORED:
            yield row
    yield Row("generated: all", "", "stock", here_stock, side.stock())
    yield Row("generated: all", "", "dead letters", "none", ", ".join(side.letters()) or "none")
    completed = Counter(str(record.status) for record in side.records().values())
    yield Row(
        "generated: all", "", "status", f"{orders.count} COMPLETED",
        ", ".join(f"{number} {status}" for status, number in sorted(completed.items())),
    )  # fmt: skip


class _Host(DeployedHost):
    """A deployed stack whose calls fail, so that its clock is moved only while nothing runs."""

    reconciled = 0
    _sent = 0

    def put_all(self, orders: Generated) -> None:
        """Put all orders on the bus at once."""
        self._sent += orders.count
        events = [event for _, event in orders.events]
        for start in range(0, len(events), 10):
            self.put(*events[start : start + 10])

    def settle(self) -> None:
        """Wait until every order has ended and every event is published.

        Raises
        ------
        RehearsalError
            That takes longer than `PATIENCE`; the message has the unfinished orders.
        """
        deadline, idle_since = time.monotonic() + PATIENCE, None
        while not self._settled():
            if time.monotonic() > deadline:
                records = self.records().values()
                unfinished = Counter(str(one.status) for one in records if not one.ended)
                lost = self._sent - len(records)
                raise RehearsalError(
                    f"orders have not ended in {PATIENCE:.0f} s: {dict(unfinished)},"
                    f" {lost} of them not begun; MiniStack's log has the functions' errors"
                )
            if self.stack.works():
                idle_since = None
            elif idle_since is None:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since > QUIET:
                self._reconcile()
                idle_since = None
            time.sleep(_TICK)

    def _settled(self) -> bool:
        records = self.records().values()
        ended = len(records) == self._sent and all(record.ended for record in records)
        return ended and not self.stack.works() and not self.stack.unsent()

    def _reconcile(self) -> None:
        """Move the clock by a lease and call the reconciler; its schedule would call it again."""
        self.stack.skip(LEASE)
        with suppress(RehearsalError, ClientError):  # it is throttled and times out as others
            self.stack.reconcile()
            self.reconciled += 1
