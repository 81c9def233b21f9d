"""`orders audit` of a directory: each invariant, broken in each table that it is about."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from infra.audit.directory import audit
from infra.audit.findings import KEPT, Finding, Report
from infra.audit.in_flight import last_seen, reconciled
from infra.audit.quick import quick_findings
from infra.local.directory.data_directory import DataDirectory
from kernel.events import published_event_id
from tests.fakes.older import copied, select, template, unpacked
from tests.integration.deployed import run

PAID, FAILED, REFUNDED, HIGH, SHORT = (
    "G7-000001",
    "G7-000003",
    "G7-000007",
    "G7-000002",
    "G7-000004",
)
WAITS, STUCK, WRONG = "X-WAITS", "X-STUCK", "X-WRONG"


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> DataDirectory:
    """A directory with orders that completed, failed, were cancelled or wait, and dead letters."""
    found = unpacked("version-3-settled", tmp_path_factory.mktemp("settled"))
    found.reader().close()
    return found


@pytest.fixture
def directory(settled: DataDirectory, tmp_path: Path) -> DataDirectory:
    return copied(settled, tmp_path)


def change(directory: DataDirectory, sql: str, *, sandbox: bool = False) -> None:
    path = directory.sandbox if sandbox else directory.database
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("pragma ignore_check_constraints = on;" + sql)


def report(directory: DataDirectory) -> Report:
    return audit(directory, template())


def findings(directory: DataDirectory) -> list[Finding]:
    return report(directory).findings.first


def test_a_directory_that_the_platform_wrote_is_sound(directory: DataDirectory) -> None:
    found = report(directory)
    assert [str(one) for one in found.findings.first] == []
    assert found.checked["orders"] == 11
    assert found.checked["in_flight"] == 2
    assert found.unchecked == []


A_CHARGE = "'X-9', 'c', 100, 'USD', 'CHARGED', null, 1, 1"


def another(order_id: str, like: str, name: str) -> str:
    """Return SQL that publishes an event as the platform does, a version earlier than it did."""
    event_id = published_event_id(order_id, name, 2)
    return (
        "insert into events (id, detail_type, order_id, envelope, arrived_at, archived) select"
        f" 'e-2', '{name}', order_id, json_set(envelope, '$.detail.metadata.event_id',"
        f" '{event_id}'), arrived_at, 1 from events where order_id = '{order_id}'"
        f" and detail_type = '{like}'"
    )


AN_EVENT = another(PAID, "Order Completed", "Order Completed")

BROKEN = [
    # the ledger
    (f"update charges set status = 'REFUNDED' where order_id = '{PAID}'", "Money", PAID),
    (f"delete from charges where order_id = '{PAID}'", "Money", PAID),
    (f"update charges set amount = amount + 1 where order_id = '{PAID}'", "Money", PAID),
    (f"update charges set charge_id = 'other' where order_id = '{PAID}'", "Money", PAID),
    (f"insert into charges values ({A_CHARGE})", "Money", "X-9"),
    (f"update orders set charge = null where order_id = '{PAID}'", "Money", PAID),
    (f"update orders set total = total + 1 where order_id = '{PAID}'", "Money", PAID),
    # stock
    ("update stock set reserved = 1 where sku = 'TEA-GREEN-100'", "Stock", "TEA-GREEN-100"),
    ("update stock set on_hand = on_hand + 1 where sku = 'TEA-GREEN-100'", "Stock", "TEA-GREEN"),
    (
        ("update stock set on_hand = on_hand - 1, shipped = shipped + 1"
        " where sku = 'TEA-GREEN-100'"),
        "Stock",
        "TEA-GREEN-100",
    ),
    ("update stock set received = received + 1, on_hand = on_hand + 1", "Stock", "stock"),
    ("delete from receipts", "Stock", "stock"),
    ("delete from stock where shipped > 0", "Stock", "SKU"),
    (f"update orders set reservation = 'RELEASED' where order_id = '{PAID}'", "Stock", PAID),
    # shipments
    (f"delete from shipments where order_id = '{PAID}'", "Shipment", PAID),
    (f"update shipments set status = 'VOIDED' where order_id = '{PAID}'", "Shipment", PAID),
    (f"update shipments set tracking_number = 'SBX' where order_id = '{PAID}'", "Shipment", PAID),
    ("insert into shipments values ('X-9', 's', 'CREATED', 'SBX', 1)", "Shipment", "X-9"),
    (f"update orders set shipment = 'CREATED' where order_id = '{REFUNDED}'", "Shipment", REFUNDED),
    # ends
    ((f"update orders set lease_owner = null where order_id = '{STUCK}';"
     " delete from messages where queue = 'AttentionQueue'"), "End", STUCK),
    ((f"delete from executions where order_id = '{WAITS}';"
     f" update orders set resume_at = resume_at - 5000 where order_id = '{WAITS}'"), "End", WAITS),
    ((f"delete from executions where order_id = '{WAITS}';"
     f" update orders set resume_at = resume_at + 5000 where order_id = '{WAITS}'"), "End", WAITS),
    ((f"delete from executions where order_id = '{WAITS}';"
     f" delete from orders where order_id = '{WAITS}'"), "End", WAITS),
    ((f"delete from executions where order_id = '{WRONG}';"
     " delete from messages where queue = 'QuarantineQueue'"), "End", WRONG),
    ("insert into messages values (99, 'GoneQueue', '{}', 1, 1, 0, '{}')", "End", "GoneQueue"),
    (f"update orders set in_flight = null where order_id = '{WAITS}'", "End", WAITS),
    (f"update orders set in_flight = 1 where order_id = '{PAID}'", "End", PAID),
    # events
    ("insert into outbox values (99, 'event', '{}', 1)", "Events", "outbox entry 99"),
    ("update deliveries set target = 'GoneRule/Gone'", "Events", "GoneRule/Gone"),
    ("update deliveries set event_seq = 999", "Events", "delivery"),
    (f"delete from events where order_id = '{PAID}' and detail_type = 'Order Completed'",
     "Events", PAID),
    (f"delete from events where order_id = '{FAILED}' and detail_type = 'Order Failed'",
     "Events", FAILED),
    (f"delete from events where order_id = '{REFUNDED}' and detail_type = 'Payment Refunded'",
     "Events", REFUNDED),
    ("delete from events where detail_type = 'High Value Order Flagged'", "Events", HIGH),
    ("delete from events where detail_type = 'Order Backordered'", "Events", SHORT),
    (AN_EVENT, "Events", PAID),
    (another(PAID, "Order Completed", "Order Failed"), "Events", PAID),
    (another(PAID, "Order Completed", "Payment Refunded"), "Events", PAID),
    # what cannot be read
    (f"update orders set items = '{{' where order_id = '{PAID}'", "Files", PAID),
    (f"update orders set status = 'LOST' where order_id = '{PAID}'", "Files", PAID),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "invariant", "subject"), BROKEN)
def test_what_is_broken_in_the_orders_database_is_named(
    directory: DataDirectory, sql: str, invariant: str, subject: str
) -> None:
    change(directory, sql)
    found = [one for one in findings(directory) if subject in one.subject]
    assert invariant in {one.invariant for one in found}, findings(directory)
    assert all(one.problem and one.mend for one in found)


GATEWAY = "key, order_id, amount, currency, token, status, charged_at"
NEW = "'k', 'X-9', 100, 'USD', null, 'CHARGED', 1"

AT_PARTNERS = [
    ((f"insert into gateway_charges ({GATEWAY}) select {GATEWAY} from gateway_charges"
     f" where order_id = '{PAID}'"), "Money", PAID, "charged it 2 times"),
    (f"update gateway_charges set status = 'CHARGED' where order_id = '{REFUNDED}'",
     "Money", REFUNDED, "it is FAILED, and the gateway charged USD"),
    (f"update gateway_charges set amount = amount + 1 where order_id = '{PAID}'",
     "Money", PAID, "the gateway charged USD"),
    (f"update gateway_charges set currency = 'EUR' where order_id = '{PAID}'",
     "Money", PAID, "the gateway charged EUR"),
    (f"delete from gateway_charges where order_id = '{PAID}'",
     "Money", PAID, "the gateway as None"),
    (f"update gateway_charges set status = 'REFUNDED' where order_id = '{PAID}'",
     "Money", PAID, "the gateway as REFUNDED"),
    (f"insert into gateway_charges ({GATEWAY}) values ({NEW})",
     "Money", "X-9", "no order is here"),
    (f"delete from carrier_shipments where order_id = '{PAID}'",
     "Shipment", PAID, "the carrier as None"),
    (f"update carrier_shipments set status = 'VOIDED' where order_id = '{PAID}'",
     "Shipment", PAID, "the carrier as VOIDED"),
    (f"insert into carrier_shipments values ('s-9', '{FAILED}', 'CREATED', null)",
     "Shipment", FAILED, "the carrier has its shipment"),
    (f"insert into carrier_shipments values ('s-9', '{PAID}', 'CREATED', null)",
     "Shipment", PAID, "2 shipments of it"),
    ("insert into carrier_shipments values ('s-9', 'X-9', 'CREATED', null)",
     "Shipment", "X-9", "no order is here"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "invariant", "order_id", "problem"), AT_PARTNERS)
def test_what_is_broken_at_a_partner_is_named(
    directory: DataDirectory, sql: str, invariant: str, order_id: str, problem: str
) -> None:
    change(directory, sql, sandbox=True)
    found = findings(directory)
    assert {(one.invariant, one.subject) for one in found} == {(invariant, f"order {order_id}")}
    assert any(problem in one.problem for one in found)


def test_a_database_that_is_damaged_is_one_finding(directory: DataDirectory) -> None:
    content = bytearray(directory.database.read_bytes())
    for place in range(20, 40):
        content[place * 4096 : place * 4096 + 100] = b"\xff" * 100
    directory.database.write_bytes(content)
    [only] = findings(directory)
    assert only.invariant == "Files"
    assert "orders restore" in only.mend


def test_a_letter_that_was_seen_to_is_no_finding(directory: DataDirectory) -> None:
    change(directory, "delete from messages where queue = 'QuarantineQueue'")
    assert findings(directory) == []


@pytest.mark.parametrize(("state", "number"), [("DISCARDED", 0), ("PENDING", 0), ("DONE", 1)])
def test_a_letter_that_a_person_discarded_is_an_answer(
    directory: DataDirectory, state: str, number: int
) -> None:
    """Also one whose successor is on its way; once that is done, an order is to be there."""
    change(
        directory,
        f"delete from executions where order_id = '{WAITS}';"
        f" delete from timeline where order_id = '{WAITS}';"
        f" delete from orders where order_id = '{WAITS}';"
        " insert into closed_letters (queue, body, attributes, sent_at, state, outcome, closed_at)"
        f" select 'QuarantineQueue', json_object('event', json(envelope)), '{{}}', 1, '{state}',"
        f" 'why', 1 from events where order_id = '{WAITS}' and detail_type = 'Order Created'",
    )
    assert [one.invariant for one in findings(directory)] == ["End"] * number


@pytest.mark.parametrize(("amount", "number"), [("total / 100", 0), ("total", 1)])
def test_what_the_gateway_charged_is_in_the_currencys_own_unit(
    directory: DataDirectory, amount: str, number: int
) -> None:
    [(total,)] = select(directory, f"select total / 100 from orders where order_id = '{PAID}'")
    yen = f"currency = 'JPY' where order_id = '{PAID}'"
    change(directory, f"update orders set total = {total} * 100, {yen}")
    change(directory, f"update charges set amount = {total} * 100, {yen}")
    charged = amount.replace("total", f"({total} * 100)")
    change(directory, f"update gateway_charges set amount = {charged}, {yen}", sandbox=True)
    assert [one.invariant for one in findings(directory)] == ["Money"] * number


@pytest.mark.parametrize("status", ["RESERVED", "CHARGED", "COMPENSATING"])
def test_a_lease_keeps_an_order_until_it_ends(directory: DataDirectory, status: str) -> None:
    """A run that is gone holds its order for five minutes more; then the reconciler comes."""
    held = {"RESERVED": "null", "CHARGED": "'CHARGED'", "COMPENSATING": "'CHARGED'"}[status]
    with closing(sqlite3.connect(directory.database)) as connection:
        seen, ran = last_seen(connection), reconciled(connection, template())
    for ends, number in ((ran - 2000, 1), (ran - 300, 0), (seen + 300, 0), (seen + 2000, 1)):
        change(
            directory,
            f"delete from executions where order_id = '{WAITS}';"
            f" update orders set lease_owner = 'gone', status = '{status}', charge = {held},"
            f" lease_until = {ends} where order_id = '{WAITS}'",
        )
        found = [one for one in findings(directory) if one.invariant == "End"]
        assert len(found) == number


def test_events_of_others_under_these_names_are_no_finding(directory: DataDirectory) -> None:
    theirs = another(PAID, "Order Completed", "Order Failed")
    ours = published_event_id(PAID, "Order Failed", 2)
    change(directory, theirs.replace(ours, "of-somebody-else"))
    assert findings(directory) == []


# ---- the quick part


@pytest.mark.parametrize(
    ("sql", "invariant", "subject"),
    [
        ("update stock set reserved = 1 where sku = 'TEA-GREEN-100'", "Stock", "TEA-GREEN-100"),
        (f"update orders set charge = null where order_id = '{STUCK}'", "Money", STUCK),
        ((f"update orders set lease_owner = null where order_id = '{STUCK}';"
         " delete from messages where queue = 'AttentionQueue'"), "End", STUCK),
        ("insert into outbox values (99, 'event', '{}', 1)", "Events", "outbox entry 99"),
    ],
)  # fmt: skip
def test_the_quick_part_names_what_is_in_flight(
    directory: DataDirectory, sql: str, invariant: str, subject: str
) -> None:
    reader = directory.reader()
    assert quick_findings(reader) == []
    change(directory, sql)
    found = quick_findings(reader)
    reader.close()
    assert (invariant, True) in {(one.invariant, subject in one.subject) for one in found}


def test_the_quick_part_of_nothing_finds_nothing(tmp_path: Path) -> None:
    empty = DataDirectory(tmp_path / "new")
    with empty.writer():
        reader = empty.reader()
        assert quick_findings(reader) == []
        reader.close()


def doctor(directory: DataDirectory) -> dict[str, Any]:
    """Return what `orders doctor` says of the orders."""
    told = json.loads(run("doctor", "--data", directory.root, "--json").stdout.splitlines()[-1])
    [check] = [one for one in told["checks"] if one["name"] == "orders"]
    return dict(check)


def test_doctor_runs_the_quick_part(directory: DataDirectory) -> None:
    assert doctor(directory)["ok"]
    change(directory, "update stock set reserved = 1 where sku = 'TEA-GREEN-100'")
    told = doctor(directory)
    assert not told["ok"]
    assert told["found"].startswith("SKU TEA-GREEN-100: 1 units are reserved")
    assert "orders audit" in told["mend"]


def test_doctor_leaves_a_directory_of_an_older_version_as_it_is(tmp_path: Path) -> None:
    older = unpacked("version-1-settled", tmp_path)
    before = older.database.read_bytes()
    assert "of version 1" in doctor(older)["found"]
    assert older.database.read_bytes() == before


# ---- the command


@pytest.fixture
def broken(directory: DataDirectory) -> DataDirectory:
    change(directory, "update charges set amount = amount + 1")
    return directory


def test_it_exits_with_0_and_says_what_it_looked_at(directory: DataDirectory) -> None:
    result = run("audit", "--data", directory.root, "--json")
    assert result.exception is None, result.output
    told = json.loads(result.stdout.splitlines()[-1])
    assert (told["ok"], told["findings"], told["number"]) == (True, [], 0)
    assert told["checked"]["orders"] == 11
    assert "every invariant holds" in result.stdout


def test_it_exits_with_1_and_shows_the_first_ten(broken: DataDirectory) -> None:
    change(broken, "update shipments set tracking_number = 'x'")
    result = run("audit", "--data", broken.root, "--json")
    told: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    assert not told["ok"]
    assert len(told["findings"]) == KEPT < told["number"] == sum(told["by_invariant"].values())
    assert set(told["findings"][0]) == {"invariant", "subject", "problem", "mend"}
    said = str(result.exception)
    assert f"{told['number']} findings, of which the first {KEPT} are shown" in said


def test_it_changes_nothing(directory: DataDirectory) -> None:
    before = directory.database.read_bytes(), directory.sandbox.read_bytes()
    findings(directory)
    assert (directory.database.read_bytes(), directory.sandbox.read_bytes()) == before


def test_a_directory_without_orders_is_told_so(tmp_path: Path) -> None:
    result = run("audit", "--data", tmp_path / "none")
    assert "has no orders yet" in str(result.exception)
