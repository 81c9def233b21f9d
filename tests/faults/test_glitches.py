"""Lambda's own trouble: throttled, cold and slow functions cost time, and no sale."""

import os
from collections import Counter

from tests.faults.account import Account
from tests.faults.scene import dead_letters, paid
from tests.host import Host, order

ORDERS = int(os.environ.get("ORDERFLOW_TEST_THROTTLED_ORDERS", "100"))


def test_f20_a_new_account_with_ten_executions_at_once(machine: Host) -> None:
    """F20: throttled, cold, 5 % of calls time out -> completed; none refunded or quarantined."""
    account = Account(machine, executions=10, cold_start=6.0, timeouts=0.05)
    machine.receive(TEA=ORDERS)
    for first in range(0, ORDERS, 10):
        machine.put(*(order(f"T-{number}") for number in range(first, min(first + 10, ORDERS))))
    account.settle()
    assert account.counts["throttled"] > ORDERS
    assert account.counts["timed out"] > ORDERS / 10
    statuses = machine.rows("select status, count(*) as n from orders group by status")
    assert statuses == [{"status": "COMPLETED", "n": ORDERS}]
    charges = Counter(tuple(paid(machine, f"T-{number}")) for number in range(ORDERS))
    assert charges == {("CHARGED",): ORDERS}
    assert dead_letters(machine) == []


def test_f20_no_function_runs_for_half_an_hour(machine: Host) -> None:
    """F20: no call of a function succeeds for half an hour -> the order begins after it."""
    account = Account(machine, executions=0, cold_start=1.0, timeouts=0.0)
    machine.put(order())
    began = machine.engine.clock.now()
    while machine.engine.clock.now() < began + 1800:
        account.step()
    assert (machine.status(), dead_letters(machine)) == (None, [])
    account.executions = 10
    account.settle()
    assert (machine.status(), paid(machine), dead_letters(machine)) == (
        "COMPLETED",
        ["CHARGED"],
        [],
    )
