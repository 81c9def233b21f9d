"""Retention: old items are pruned, unfinished ones never, and a pruned order happens once."""

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from infra.audit.directory import audit
from infra.errors import MoveError
from infra.local.directory.data_directory import DataDirectory
from infra.local.engine.upkeep import LONGEST
from infra.local.platform import stack_of
from infra.local.retention.open_items import OpenItems
from infra.local.retention.pruner import Keep, Pruner, Retention
from tests.fakes import serving
from tests.fakes.serving import Served, orders
from tests.faults.scene import forget, let_go
from tests.host import host, order
from tests.integration.deployed import run

DAY = 86_400.0
FINISHED = ("T-ok", "T-declined")


class Later:
    """A directory with orders that ended, and a clock many days later."""

    def __init__(self, where: DataDirectory) -> None:
        self.where = where
        self.days = 10.0

    def now(self) -> float:
        return time.time() + self.days * DAY

    def prune(self, *, dry: bool = False, **keep: int) -> Pruner:
        with self.where.writer() as database:
            pruner = Pruner(self.where, database, Keep(**keep), self.now, dry=dry)
            for _ in pruner.steps():
                pass
        return pruner

    def change(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.where.database)) as database, database:
            database.execute(statement, values)

    def one(self, query: str, *values: object) -> Any:
        with closing(sqlite3.connect(self.where.database)) as database:
            return database.execute(query, values).fetchone()[0]

    def problems(self) -> list[Any]:
        return audit(self.where, stack_of(self.where)).findings.first


@pytest.fixture
def later(tmp_path: Path) -> Later:
    forget()
    with host(tmp_path / "data") as opened:
        opened.receive(TEA=5)
        opened.put(order("T-ok"))
        opened.put(order("T-declined", payment_token="tok_decline"))
        opened.settle()
        where = opened.directory
    let_go(opened)
    return Later(where)


def test_an_old_order_is_pruned_with_everything_about_it(later: Later) -> None:
    found = later.prune(orders=5).found
    assert found.counts["orders"] == 2
    assert found.counts["events"] > 2
    assert not found.kept
    for table in ("orders", "timeline", "charges", "shipments", "mails", "executions", "events"):
        assert later.one(f"select count(*) from {table}") == 0, table
    assert later.one("select count(*) from history") == 0
    assert later.one("select group_concat(status) from pruned_orders order by 1") is not None
    with closing(sqlite3.connect(later.where.sandbox)) as sandbox:
        for table in ("gateway_charges", "carrier_shipments", "mail_messages"):
            assert sandbox.execute(f"select count(*) from {table}").fetchone() == (0,), table
    assert later.problems() == []


def test_an_order_that_waited_is_pruned_with_its_entries_and_its_reviewers_mail(
    tmp_path: Path,
) -> None:
    forget()
    asked = {"HighValueApproval": "on", "ApprovalReviewer": "boss@example.com"}
    dear = {"items": [{"sku": "TEA", "quantity": 96, "unit_price": 12.5}], "total": 1200.0}
    with host(tmp_path / "data", parameters=asked) as opened:
        opened.receive(TEA=96, CAKE=0)
        line = {"sku": "CAKE", "quantity": 1, "unit_price": 12.5}
        opened.put(order("T-waits", items=[line], total=12.5), order("T-dear", **dear))
        opened.settle()
        where = opened.directory
    let_go(opened)
    later = Later(where)
    assert later.one("select group_concat(distinct status) from orders") == "FAILED"
    assert later.one("select order_id from waiting_orders") == "T-waits"
    assert later.one("select order_id from mails") == "T-dear"
    later.change("update reviews set status = 'CLOSED'")
    assert later.prune(orders=5).found.counts["orders"] == 2
    for table in ("orders", "waiting_orders", "mails"):
        assert later.one(f"select count(*) from {table}") == 0, table
    with closing(sqlite3.connect(later.where.sandbox)) as sandbox:
        assert sandbox.execute("select count(*) from mail_messages").fetchone() == (0,)
    assert later.problems() == []


def test_a_dry_run_counts_the_same_and_deletes_nothing(later: Later) -> None:
    before = later.one("select count(*) from events")
    dry = later.prune(dry=True, orders=5, events=5, history=5, parquet=5).found
    assert later.one("select count(*) from events") == before
    assert later.one("select count(*) from orders") == 2
    assert list(later.where.bucket.rglob("*.parquet"))
    real = later.prune(orders=5, events=5, history=5, parquet=5).found
    assert dry.counts == real.counts
    assert real.counts["files"] > 0
    assert not list(later.where.bucket.rglob("*.parquet"))


def test_a_younger_order_is_kept(later: Later) -> None:
    assert later.prune(orders=11, events=11, history=11, parquet=11).found.counts.total() == 0


OPEN: dict[str, Callable[[Later], None]] = {
    "no end yet": lambda later: later.change(
        "update orders set status = 'WAITING', in_flight = 1 where order_id = 'T-ok'"
    ),
    "a pending charge": lambda later: later.change(
        "update orders set charge = 'PENDING' where order_id = 'T-ok'"
    ),
    "a message or a dead letter": lambda later: later.change(
        "insert into messages values (77, 'AttentionQueue', ?, 1, 1, 0, '{}')",
        json.dumps({"input": json.dumps({"resume": {"order_id": "T-ok"}})}),
    ),
    "an undelivered event": lambda later: later.change(
        "insert into deliveries select null, seq, 'AnalyticsRule/OrderEvents', 1, 0, null"
        " from events where order_id = 'T-ok' limit 1"
    ),
    "a running execution": lambda later: later.change(
        "update executions set status = 'RUNNING', ended_at = null where order_id = 'T-ok'"
    ),
    "an open review": lambda later: later.change(
        "insert into reviews values ('T-ok', 'C', 'USD', 9, 1, 1, 'e', 'OPEN')"
    ),
    "a damaged record": lambda later: later.change(
        "update orders set items = '{' where order_id = 'T-ok'"
    ),
    "early requests": lambda later: later.change(
        "insert into early_requests values ('T-ok', 'r', 'e', 'Order Cancelled', '{}', 1, 1, null)"
    ),
    "held runs": lambda later: later.change(
        "insert into quarantined_orders values ('T-ok', 1, 1, 'r', 1)"
    ),
}


@pytest.mark.parametrize("reason", OPEN)
def test_an_order_with_something_unfinished_is_kept(later: Later, reason: str) -> None:
    OPEN[reason](later)
    kept_before = later.one("select count(*) from events where order_id = 'T-ok'")
    found = later.prune(orders=5, events=5, history=5, parquet=5).found
    assert found.kept[reason] >= 1
    assert later.one("select count(*) from orders where order_id = 'T-ok'") == 1
    if reason in ("no end yet", "a message or a dead letter", "an undelivered event"):
        assert later.one("select count(*) from events where order_id = 'T-ok'") == kept_before


@pytest.mark.parametrize(("state", "ended", "kept"), [("PAUSED", None, True), ("DONE", 1.0, False)])
def test_the_events_of_an_unfinished_replay_are_kept(
    later: Later, state: str, ended: float | None, *, kept: bool
) -> None:
    later.change(
        "insert into replays values ('r', '[]', 0, 9e9, ?, 1, ?, 0, 0, 9, null, null)", state, ended
    )
    later.prune(events=5)
    assert (later.one("select count(*) from events") > 0) is kept


def test_the_run_of_an_order_with_an_open_letter_is_kept(later: Later) -> None:
    OPEN["a message or a dead letter"](later)
    later.prune(history=5)
    assert later.one("select count(*) from executions where order_id = 'T-ok'") == 1
    assert later.one("select count(*) from executions where order_id = 'T-declined'") == 0


def test_young_histories_are_not_all_read(later: Later, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.local.retention.events.BATCH", 1)
    old = later.one("select count(*) from executions")
    columns = "name, machine, kind, status, definition, input, started_at, ended_at"
    for _ in range(9):
        later.change(
            f"insert into executions ({columns})"
            " values ('y', 'm', 'STANDARD', 'FAILED', 'd', '', ?, ?)",
            later.now(),
            later.now(),
        )
    with later.where.writer() as database:
        pruner = Pruner(later.where, database, Keep(history=5), later.now)
        steps = sum(1 for _ in pruner.steps())
    assert pruner.found.counts["executions"] == old
    assert steps <= old + 2


def test_the_command_leaves_the_server_as_much_time_as_it_takes(
    later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("infra.local.retention.pruner.time.sleep", slept.append)
    with later.where.writer() as database:
        for shared in (True, False):
            Pruner(later.where, database, Keep(orders=5), later.now).run(shared=shared)
    assert slept[0] > 0
    assert slept[-1] == 0


def test_files_of_an_open_order_and_of_undelivered_events_are_kept(later: Later) -> None:
    OPEN["no end yet"](later)
    assert later.prune(parquet=5).found.counts["files"] == 0
    assert list(later.where.bucket.rglob("*.parquet"))


@pytest.mark.parametrize("keep", ["orders", "history"])
def test_the_redrives_of_a_pruned_execution_are_pruned(later: Later, keep: str) -> None:
    later.change("insert into execution_redrives select id, 1, started_at, 't' from executions")
    later.prune(orders=5) if keep == "orders" else later.prune(history=5)
    assert later.one("select count(*) from execution_redrives") == 0


def test_events_and_histories_are_pruned_alone_and_the_audit_knows(later: Later) -> None:
    later.prune(events=5)
    assert later.one("select count(*) from events") == 0
    assert later.one("select count(*) from orders") == 2
    assert later.problems() == []
    later.prune(history=5)
    assert later.one("select count(*) from executions") == 0
    assert later.one("select count(*) from history") == 0
    assert later.problems() == []


def test_a_pruned_order_that_arrives_again_is_not_charged_again(
    later: Later,
) -> None:
    later.prune(orders=5)
    forget()
    with host(later.where.root) as opened:
        opened.put(order("T-ok"))
        opened.settle()
        opened.engine.run_schedule("ReconcileFunction")
        opened.settle()
        assert opened.rows("select order_id from orders") == []
        assert opened.rows("select * from charges") == []
        assert opened.rows("select queue from messages") == []
    let_go(opened)
    with closing(sqlite3.connect(later.where.sandbox)) as sandbox:
        assert sandbox.execute("select count(*) from gateway_charges").fetchone() == (0,)
    assert later.problems() == []
    assert "ended as COMPLETED" in orders("show", "T-ok", "--data", later.where.root).stderr


def test_a_crash_before_the_sweep_leaves_it_to_the_next_pruning(later: Later) -> None:
    with later.where.writer() as database:
        steps = Pruner(later.where, database, Keep(orders=5), later.now).steps()
        while later.one("select count(*) from pruned_orders") == 0:
            next(steps)
        steps.close()  # type: ignore[attr-defined]
    assert later.problems() == []
    later.prune(orders=5)
    with closing(sqlite3.connect(later.where.sandbox)) as sandbox:
        assert sandbox.execute("select count(*) from gateway_charges").fetchone() == (0,)


def test_an_export_of_a_pruned_directory_is_refused(later: Later, tmp_path: Path) -> None:
    later.prune(orders=5)
    done = run("export", tmp_path / "e.ndjson", "--data", later.where.root)
    assert isinstance(done.exception, MoveError)
    assert "orders backup" in str(done.exception)


def test_words_of_nested_documents_are_found(later: Later) -> None:
    text = json.dumps({"a": json.dumps({"b": "order T-9: it failed."}), "c": ["T-8", 7]})
    later.change("insert into messages values (78, 'Q', ?, 1, 1, 0, '{}')", text)
    with closing(later.where.reader()) as database:
        items = OpenItems(database)
        while items.refresh():
            pass
        assert all(items.mention(word) for word in ("T-8", "T-9", "failed"))
        assert not items.mention("T-ok")


# ---- the server and the command


def test_a_server_prunes_in_steps_and_not_without_a_setting(later: Later) -> None:
    with later.where.writer() as database:
        Retention(later.where, database, Keep(), later.now).observe(1.0, busy=False)
        assert later.one("select count(*) from orders") == 2
        retention = Retention(later.where, database, Keep(orders=5), later.now)
        assert retention.patience == LONGEST
        retention.observe(0.5, busy=False)
        assert retention.patience < LONGEST  # an idle server goes on soon
        at = 1.0
        for _ in range(50):
            retention.observe(at, busy=True)
            at += 1.0
        assert later.one("select count(*) from orders") == 0
        later.change("delete from pruned_orders")
        retention.observe(at, busy=True)  # nothing is due for an hour
        assert not retention.is_active


def test_an_error_of_retention_is_logged_and_harms_nothing(later: Later) -> None:
    later.change("drop table quarantined_orders")
    with later.where.writer() as database:
        retention = Retention(later.where, database, Keep(orders=5), later.now)
        for moment in range(1, 9):
            retention.observe(float(moment), busy=True)
        assert not retention.is_active
    assert "retention stopped, and begins again" in later.where.log.read_text()
    assert later.one("select count(*) from orders") == 2


def aged(where: DataDirectory) -> None:
    """Make everything 100 days older, since the clock of a process cannot be moved."""
    with closing(sqlite3.connect(where.database)) as database, database:
        for table, columns in {
            "orders": ("created_at", "updated_at"),
            "events": ("arrived_at",),
            "executions": ("started_at", "ended_at"),
        }.items():
            for column in columns:
                database.execute(f"update {table} set {column} = {column} - 100 * 86400")


def test_the_command_prunes_while_served_and_records_it(later: Later) -> None:
    aged(later.where)
    data = later.where.root
    with Served(data, "--workers", "0") as server:
        dry = serving.answer("prune", "--dry-run", "--orders-days", "30", "--data", data)
        assert (dry["orders"], dry["dry_run"]) == (2, True)
        assert server.rows("select count(*) from orders") == [(2,)]
        done = serving.answer("prune", "--orders-days", "30", "--data", data)
        assert (done["orders"], done["events"]) == (dry["orders"], dry["events"])
        assert server.rows("select action, result from operator_actions") == [("prune", "DONE")]
        status, answer = server.ask("POST", "/orders", order("T-ok")["detail"])
        assert (status, "its record was pruned" in answer["detail"]) == (409, True)


def test_a_server_applies_the_settings_by_itself(later: Later) -> None:
    aged(later.where)
    (later.where.root / "settings.toml").write_text("OrderDays = 30\n")
    with Served(later.where.root, "--workers", "0") as server:
        server.until("select count(*) from orders", 0)
        server.until("select count(*) from pruned_orders where swept", 2)


def test_without_days_nothing_is_pruned_and_the_error_says_so(later: Later) -> None:
    done = orders("prune", "--data", later.where.root)
    assert (done.returncode, "--orders-days" in done.stderr) == (1, True)
    assert later.one("select count(*) from orders") == 2


def test_an_idempotency_key_of_a_pruned_order_is_refused(later: Later) -> None:
    body = {"customer_id": "C", "currency": "USD"}
    body |= {"items": [{"sku": "TEA", "quantity": 1, "unit_price": 2.5}]}  # type: ignore[dict-item]
    key = {"Idempotency-Key": "k-1"}
    with Served(later.where.root, "--workers", "0") as server:
        assert server.ask("POST", "/orders", body, key)[0] == 201
        server.until("select count(*) from orders where status = 'COMPLETED'", 2)
        server.stop()
    aged(later.where)
    later.change("delete from deliveries")  # Firehose waits a minute
    pruned = serving.answer("prune", "--orders-days", "30", "--data", later.where.root)
    assert pruned["orders"] == 3, pruned
    with Served(later.where.root, "--workers", "0") as server:
        status, answer = server.ask("POST", "/orders", body, key)
        assert (status, "a new order needs a new key" in answer["detail"]) == (409, True)
        assert server.rows("select count(*) from orders") == [(0,)]
