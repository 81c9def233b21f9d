"""kill -9 at any moment (F32): no event is lost, every order ends, nobody is charged twice.

`make crash` kills more often, while more orders are under way.
"""

import random
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Self

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from infra.cli.generator import Generated, generate
from tests.e2e.audit import audit
from tests.e2e.upstream import Entry, sent, stock_file, to_entries
from tests.fakes.serving import Served
from tests.skipped import work_to_the_end

SPREAD = 1.2
"""Seconds of put events between two kills."""

AIMED = 0.7
"""Share of the kills during or just after an answer to PutEvents."""

STARTS = 0.2
"""Share of the kills with another kill during the recovery."""

PATIENCE = 30.0
"""Seconds for the last server to end the orders; the waits for stock are skipped after that."""


class Upstream(threading.Thread):
    """A system that emits events, and repeats those without an acknowledgement."""

    def __init__(self, server: Served, entries: Sequence[Entry], chance: random.Random) -> None:
        super().__init__()
        self.server = server
        self.entries = iter(entries)
        self.pauses = (chance.uniform(0, 20 * SPREAD / len(entries)) for _ in entries)
        self.acknowledged: list[str] = []
        self.again = 0
        self.asked = threading.Event()
        self.told = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.join()

    def run(self) -> None:
        """Put ten events at a time, until all are acknowledged."""
        while batch := list(islice(self.entries, 10)):
            while not self._put(batch):
                self.again += 1
                time.sleep(0.05)
            time.sleep(next(self.pauses))

    def _put(self, batch: list[Entry]) -> bool:
        client = self.server.client("events")
        self.asked.set()
        with suppress(BotoCoreError, ClientError):
            told = client.put_events(Entries=batch)
            self.told.set()
            assert told["FailedEntryCount"] == 0, told
            self.acknowledged += [entry["EventId"] for entry in told["Entries"]]
            return True
        return False

    def aim(self, chance: random.Random) -> None:
        """Wait until just after a request or an acknowledgement."""
        moment, within = chance.choice([(self.asked, 0.02), (self.told, 0.0)])
        moment.clear()
        if moment.wait(SPREAD):
            time.sleep(chance.uniform(0, within))


def test_after_kills_at_random_moments_every_invariant_holds(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    orders, kills, seed = (
        int(pytestconfig.getoption(f"--crash-{name}")) for name in ("orders", "kills", "seed")
    )
    print(f"--crash-orders {orders} --crash-kills {kills} --crash-seed {seed}")  # noqa: T201
    generated, chance = generate(orders, seed), random.Random(seed)
    stock = stock_file(generated, tmp_path)
    with Served(tmp_path / "data", "--stock", str(stock)) as server:
        acknowledged = kill_often(server, generated, kills, chance)
        work_off(server)
        assert server.stop() == 0
    ran = work_to_the_end(tmp_path / "data")
    assert (ran["in_flight"], ran["sink_error"]) == (0, None)
    assert audit(tmp_path / "data", sent(generated, acknowledged)) == []


def kill_often(
    server: Served, generated: Generated, kills: int, chance: random.Random
) -> list[str]:
    """Put the events while the server is killed; return the acknowledged ids."""
    entries, acknowledged, again = list(to_entries(generated)), list[str](), 0
    for kill in range(kills):
        share = entries[len(entries) * kill // kills : len(entries) * (kill + 1) // kills]
        with Upstream(server, share, random.Random(chance.random())) as upstream:
            time.sleep(chance.uniform(0, SPREAD))
            if chance.random() < AIMED:
                upstream.aim(chance)
            server.kill()
            if chance.random() < STARTS:
                server.begin()
                time.sleep(chance.uniform(0, SPREAD))
                server.kill()
            server.start()
        acknowledged += upstream.acknowledged
        again += upstream.again
    print(f"{len(acknowledged)} events acknowledged; a batch was put again {again} times")  # noqa: T201
    return acknowledged


def work_off(server: Served) -> None:
    """Wait until the server has ended all orders that need not wait."""
    counts = "select count(*), coalesce(sum(status in ('WAITING', 'COMPLETED', 'FAILED',"
    counts += " 'CANCELLED')), 0) from orders"
    end = time.monotonic() + PATIENCE
    while len(set(server.rows(counts)[0])) > 1 and time.monotonic() < end:
        time.sleep(0.1)
    assert server.rows("select count(*) > 0 from orders where status = 'COMPLETED'") == [(1,)]
