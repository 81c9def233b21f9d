"""Lambda's own trouble: throttled, cold and slow functions cost time, and no sale."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from infra.local.settle_limited import settle_limited
from infra.local.workers.account import NEW_ACCOUNT, Limits
from infra.local.workers.limited import LimitedInvoker
from orders.store import SQLiteEventJournal
from tests.faults.scene import NEVER_SHIPPED, Scene, all_dead_letters, dead_letters, paid
from tests.host import Host, order

ORDERS = 100
REFUSED = 20
"""Orders that the carrier refuses, so that functions of the compensation have trouble too."""


def invoker_of(machine: Host) -> LimitedInvoker:
    invoker = machine.engine.invoker
    assert isinstance(invoker, LimitedInvoker)
    return invoker


@pytest.mark.long
def test_f20_a_new_account_with_ten_executions_at_once(scene: Scene) -> None:
    """F20: throttled, cold, 5 % of calls time out -> completed; none refunded or quarantined."""
    with scene.open(limits=NEW_ACCOUNT) as machine:
        machine.receive(TEA=ORDERS)
        for first in range(0, ORDERS, 10):
            machine.put(*(order(f"T-{number}") for number in range(first, first + 10)))
        settle_limited(machine.engine)
        counts = invoker_of(machine).counts
        assert counts["throttled"] > ORDERS
        assert counts["timed_out"] > ORDERS / 10
        statuses = machine.rows("select status, count(*) as n from orders group by status")
        assert statuses == [{"status": "COMPLETED", "n": ORDERS}]
        charges = Counter(tuple(paid(machine, f"T-{number}")) for number in range(ORDERS))
        assert charges == {("CHARGED",): ORDERS}
        assert not all_dead_letters(machine)


def test_f20_a_compensation_in_an_account_that_is_saturated(scene: Scene) -> None:
    """F20: a compensation outlasts its retries -> the reconciler ends it; no dead letter."""
    limits = Limits(concurrency=2, timeouts=0.3, cold=6.0)
    with scene.open(limits=limits) as machine:
        machine.receive(TEA=REFUSED)
        refused = [order(f"T-{n}", shipping_address=NEVER_SHIPPED) for n in range(REFUSED)]
        machine.put(*refused[:10])
        machine.put(*refused[10:])
        settle_limited(machine.engine)
        by_reconciler = "name like '%-r%' and name not like '%-resumed'"
        assert machine.rows(f"select * from executions where {by_reconciler}")
        ended = "select status, failure, count(*) as n from orders group by 1, 2"
        assert machine.rows(ended) == [
            {"status": "FAILED", "failure": "CarrierError", "n": REFUSED}
        ]
        charges = Counter(tuple(paid(machine, f"T-{number}")) for number in range(REFUSED))
        assert charges == {("REFUNDED",): REFUSED}
        assert not all_dead_letters(machine) & {"AttentionQueue", "QuarantineQueue"}


def test_f20_no_function_runs_for_half_an_hour(scene: Scene) -> None:
    """F20: no call of a function succeeds for half an hour -> the order begins after it."""
    with scene.open(limits=Limits(concurrency=0, cold=1.0)) as machine:
        machine.put(order())
        began, account = machine.engine.clock.now(), invoker_of(machine).account
        seen = []

        def reopen() -> None:
            if machine.engine.clock.now() >= began + 1800 and not account.limits.concurrency:
                seen.append((machine.status(), dead_letters(machine)))
                account.limits = replace(account.limits, concurrency=10)

        machine.receive(TEA=1)
        settle_limited(machine.engine, reopen)
        assert seen == [(None, [])]
        assert (machine.status(), paid(machine), dead_letters(machine)) == (
            "COMPLETED",
            ["CHARGED"],
            [],
        )


def test_f20_the_search_for_lost_events_leaves_the_retry_queue_alone(scene: Scene) -> None:
    """F20: an event waits in RetryQueue for 15 minutes -> one run starts it, not two."""
    with scene.open() as machine:
        waiting, lost = order("T-1"), order("T-2")
        now = machine.engine.clock.now()
        machine.put(waiting, lost)
        with machine.database.write() as connection:  # neither run has begun
            connection.execute("delete from executions")
            connection.execute("delete from deliveries")
            connection.execute("update events set arrived_at = arrived_at - 1000")
        queues = machine.engine.parts.queues
        machine.engine.call(lambda _: queues.send("RetryQueue", json.dumps(waiting), {}, now, 900))
        machine.engine.call(lambda _: queues.send("RetryQueue", "no JSON", {}, now, 900))
        machine.engine.turn(0)
        journal = SQLiteEventJournal(machine.database)
        found = journal.events_without_order(0.0, now - 900)
        assert [one["detail"]["order_id"] for one in found] == ["T-2"]
