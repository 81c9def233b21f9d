"""The audit of `tests.e2e.audit` finds each damage."""

import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.cli.generator import generate
from tests.e2e.audit import Sent, audit
from tests.e2e.upstream import sent
from tests.fakes.serving import answer, rows

GENERATED = generate(40, 5)

Damage = Callable[[Path], object]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Sent]:
    """Return a sound directory, and the events that were sent to it."""
    data = tmp_path_factory.mktemp("audit") / "data"
    answer("run", "--count", GENERATED.count, "--seed", GENERATED.seed, "--data", data)
    acknowledged = [event for (event,) in rows(data / "orderflow.db", "select id from events")]
    return data, sent(GENERATED, acknowledged, invalid=False)


def sql(statement: str, database: str = "orderflow.db") -> Damage:
    def damage(data: Path) -> None:
        connection = sqlite3.connect(data / database)
        with connection:
            assert connection.execute(statement).rowcount > 0
        connection.close()

    return damage


def without(pattern: str) -> Damage:
    return lambda data: next(data.glob(pattern)).unlink()


ONE = "(select order_id from orders where status = 'COMPLETED' limit 1)"
COLUMNS = "key, order_id, amount, currency, token, status, charged_at"
DAMAGES: dict[str, tuple[Damage, str]] = {
    "an unfinished order": (
        sql(f"update orders set status = 'CHARGED', in_flight = 1 where order_id = {ONE}"),
        "ends: .*: CHARGED, not COMPLETED",
    ),
    "lost events": (
        sql("delete from events where detail_type = 'Order Created'"),
        "ends: .* acknowledged events are not in the journal",
    ),
    "an outbox that is not empty": (
        sql("insert into outbox values (9, 'run', '{}', 0)"),
        "rest: 1 outbox are left",
    ),
    "a dead letter without an explanation": (
        sql("insert into messages values (99999, 'AttentionQueue', '{}', 0, 0, 0, '{}')"),
        "rest: dead letter in AttentionQueue",
    ),
    "a charge that the ledger lost": (
        sql(f"update charges set status = 'VOIDED' where order_id = {ONE}"),
        "money: ledger of what was paid of .*: None, not",
    ),
    "a second charge": (
        sql(
            f"insert into gateway_charges ({COLUMNS}) select {COLUMNS} from gateway_charges"
            " where status = 'CHARGED' limit 1",
            "sandbox.db",
        ),
        "money: .* was charged 2 times",
    ),
    "units that stay reserved": (
        sql("update stock set reserved = 1 where on_hand > 0"),
        "stock: .* stay reserved",
    ),
    "units that were never shipped": (
        sql("update stock set shipped = shipped - 1, on_hand = on_hand + 1 where shipped > 0"),
        "stock: stock shipped of",
    ),
    "shipments unknown to the carrier": (
        sql("update carrier_shipments set status = 'VOIDED'", "sandbox.db"),
        "shipments: carrier_shipments of .*: None, not 1",
    ),
    "a lost mail": (
        sql("delete from mail_messages limit 1", "sandbox.db"),
        "mails: .* has no mail",
    ),
    "an end without its event": (
        sql(f"delete from events where detail_type = 'Order Completed' and order_id = {ONE}"),
        "events: last event of .*: None, not Order Completed",
    ),
    "a lost file of the sink": (
        without("bucket/order_events/*/*.parquet"),
        "sink: .* is missing",
    ),
}


@pytest.fixture(scope="module")
def findings(ran: tuple[Path, Sent], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the audit of a directory with all of these damages."""
    data = shutil.copytree(ran[0], tmp_path_factory.mktemp("damaged") / "data")
    for damage, _ in DAMAGES.values():
        damage(data)
    return "\n".join(audit(data, ran[1]))


def test_a_sound_directory_has_no_finding(ran: tuple[Path, Sent]) -> None:
    assert audit(*ran) == []


@pytest.mark.parametrize("name", DAMAGES)
def test_each_damage_is_found(findings: str, name: str) -> None:
    assert re.search(f"^{DAMAGES[name][1]}", findings, re.MULTILINE), findings
