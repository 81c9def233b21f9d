"""`orders audit` of a directory: each invariant, broken in each table that it covers."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from infra.audit.directory import audit
from infra.audit.findings import SHOWN, Finding, Report
from infra.audit.in_flight import last_seen, reconciled
from infra.audit.one_order import Hold, invariants_of
from infra.audit.quick import quick_findings
from infra.local.directory.data_directory import DataDirectory
from infra.views.local_story import story_of
from kernel.idempotency import published_event_id
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
    """Unpack a directory with completed, failed, cancelled and waiting orders, and dead letters."""
    directory = unpacked("version-3-settled", tmp_path_factory.mktemp("settled"))
    directory.reader().close()
    return directory


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


def end_of(directory: DataDirectory, order_id: str) -> Hold:
    """Return the invariant of one order that it ends, as the console shows it."""
    with closing(directory.reader()) as reader:
        story = story_of(reader, directory, order_id)
        return next(hold for hold in invariants_of(reader, template(), story) if hold.name == "End")


def test_a_directory_that_the_platform_wrote_is_sound(directory: DataDirectory) -> None:
    audited = report(directory)
    assert [str(finding) for finding in audited.findings.first] == []
    assert audited.checked["orders"] == 11
    assert audited.checked["in_flight"] == 2
    assert audited.unchecked == []
    assert all(end_of(directory, each).holds for each in (PAID, FAILED, WAITS, STUCK))


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
    # unreadable rows
    (f"update orders set items = '{{' where order_id = '{PAID}'", "Files", PAID),
    (f"update orders set status = 'LOST' where order_id = '{PAID}'", "Files", PAID),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "invariant", "subject"), BROKEN)
def test_each_broken_invariant_in_the_orders_database_is_reported(
    directory: DataDirectory, sql: str, invariant: str, subject: str
) -> None:
    change(directory, sql)
    matching = [finding for finding in findings(directory) if subject in finding.subject]
    assert invariant in {finding.invariant for finding in matching}, findings(directory)
    assert all(finding.problem and finding.remedy for finding in matching)


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
     "Money", "X-9", "the order does not exist"),
    (f"delete from carrier_shipments where order_id = '{PAID}'",
     "Shipment", PAID, "the carrier as None"),
    (f"update carrier_shipments set status = 'VOIDED' where order_id = '{PAID}'",
     "Shipment", PAID, "the carrier as VOIDED"),
    (f"insert into carrier_shipments values ('s-9', '{FAILED}', 'CREATED', null)",
     "Shipment", FAILED, "the carrier has its shipment"),
    (f"insert into carrier_shipments values ('s-9', '{PAID}', 'CREATED', null)",
     "Shipment", PAID, "2 shipments of it"),
    ("insert into carrier_shipments values ('s-9', 'X-9', 'CREATED', null)",
     "Shipment", "X-9", "the order does not exist"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "invariant", "order_id", "problem"), AT_PARTNERS)
def test_each_broken_invariant_at_a_partner_is_reported(
    directory: DataDirectory, sql: str, invariant: str, order_id: str, problem: str
) -> None:
    change(directory, sql, sandbox=True)
    reported = findings(directory)
    assert {(finding.invariant, finding.subject) for finding in reported} == {
        (invariant, f"order {order_id}")
    }
    assert any(problem in finding.problem for finding in reported)


def test_a_damaged_database_is_one_finding(directory: DataDirectory) -> None:
    content = bytearray(directory.database.read_bytes())
    for place in range(20, 40):
        content[place * 4096 : place * 4096 + 100] = b"\xff" * 100
    directory.database.write_bytes(content)
    [only] = findings(directory)
    assert only.invariant == "Files"
    assert "orders restore" in only.remedy


def test_a_deleted_dead_letter_is_no_finding(directory: DataDirectory) -> None:
    change(directory, "delete from messages where queue = 'QuarantineQueue'")
    assert findings(directory) == []


@pytest.mark.parametrize(("state", "number"), [("DISCARDED", 0), ("PENDING", 0), ("DONE", 1)])
def test_a_closed_dead_letter_accounts_for_its_order(
    directory: DataDirectory, state: str, number: int
) -> None:
    """A pending successor accounts for it too; a successor that is done must have an order."""
    change(
        directory,
        f"delete from executions where order_id = '{WAITS}';"
        f" delete from timeline where order_id = '{WAITS}';"
        f" delete from orders where order_id = '{WAITS}';"
        " insert into closed_letters (queue, body, attributes, sent_at, state, outcome, closed_at)"
        f" select 'QuarantineQueue', json_object('event', json(envelope)), '{{}}', 1, '{state}',"
        f" 'why', 1 from events where order_id = '{WAITS}' and detail_type = 'Order Created'",
    )
    assert [finding.invariant for finding in findings(directory)] == ["End"] * number


@pytest.mark.parametrize(("amount", "number"), [("total / 100", 0), ("total", 1)])
def test_the_gateways_amount_is_in_the_smallest_unit_of_the_currency(
    directory: DataDirectory, amount: str, number: int
) -> None:
    [(total,)] = select(directory, f"select total / 100 from orders where order_id = '{PAID}'")
    yen = f"currency = 'JPY' where order_id = '{PAID}'"
    change(directory, f"update orders set total = {total} * 100, {yen}")
    change(directory, f"update charges set amount = {total} * 100, {yen}")
    charged = amount.replace("total", f"({total} * 100)")
    change(directory, f"update gateway_charges set amount = {charged}, {yen}", sandbox=True)
    assert [finding.invariant for finding in findings(directory)] == ["Money"] * number


@pytest.mark.parametrize("status", ["RESERVED", "CHARGED", "COMPENSATING"])
def test_a_lease_accounts_for_an_order_until_it_ends(directory: DataDirectory, status: str) -> None:
    """A lost run holds the lease for up to five minutes; then the reconciler takes over."""
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
        ends_findings = [finding for finding in findings(directory) if finding.invariant == "End"]
        assert len(ends_findings) == number
        assert end_of(directory, WAITS).holds is (number == 0)
        if ends_findings:
            assert ends_findings[0].problem == end_of(directory, WAITS).problem


def test_events_of_other_sources_with_these_names_are_no_finding(directory: DataDirectory) -> None:
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
def test_the_quick_part_reports_orders_in_flight(
    directory: DataDirectory, sql: str, invariant: str, subject: str
) -> None:
    reader = directory.reader()
    assert quick_findings(reader) == []
    change(directory, sql)
    reported = quick_findings(reader)
    reader.close()
    assert (invariant, True) in {
        (finding.invariant, subject in finding.subject) for finding in reported
    }


def test_the_quick_part_of_an_empty_directory_has_no_findings(tmp_path: Path) -> None:
    empty = DataDirectory(tmp_path / "new")
    with empty.writer():
        reader = empty.reader()
        assert quick_findings(reader) == []
        reader.close()


def doctor(directory: DataDirectory) -> dict[str, Any]:
    """Return the check `orders` of `orders doctor`."""
    answer = json.loads(run("doctor", "--data", directory.root, "--json").stdout.splitlines()[-1])
    [check] = [check for check in answer["checks"] if check["name"] == "orders"]
    return dict(check)


def test_doctor_runs_the_quick_part(directory: DataDirectory) -> None:
    assert doctor(directory)["ok"]
    change(directory, "update stock set reserved = 1 where sku = 'TEA-GREEN-100'")
    check = doctor(directory)
    assert not check["ok"]
    assert check["found"].startswith("SKU TEA-GREEN-100: 1 units are reserved")
    assert "orders audit" in check["mend"]


def test_doctor_does_not_migrate_a_directory_of_an_older_version(tmp_path: Path) -> None:
    older = unpacked("version-1-settled", tmp_path)
    before = older.database.read_bytes()
    assert "of version 1" in doctor(older)["found"]
    assert older.database.read_bytes() == before


# ---- the command


@pytest.fixture
def broken(directory: DataDirectory) -> DataDirectory:
    change(directory, "update charges set amount = amount + 1")
    return directory


def test_it_exits_with_0_and_reports_what_it_checked(directory: DataDirectory) -> None:
    result = run("audit", "--data", directory.root, "--json")
    assert result.exception is None, result.output
    answer = json.loads(result.stdout.splitlines()[-1])
    assert (answer["ok"], answer["findings"], answer["number"]) == (True, [], 0)
    assert answer["checked"]["orders"] == 11
    assert "every invariant holds" in run("audit", "--data", directory.root).stdout


def test_it_exits_with_1_and_shows_the_first_ten(broken: DataDirectory) -> None:
    change(broken, "update shipments set tracking_number = 'x'")
    result = run("audit", "--data", broken.root, "--json")
    answer: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    assert not answer["ok"]
    assert (
        len(answer["findings"]) == SHOWN < answer["number"] == sum(answer["by_invariant"].values())
    )
    assert set(answer["findings"][0]) == {"invariant", "subject", "problem", "mend"}
    message = str(result.exception)
    assert f"{answer['number']} findings, of which the first {SHOWN} are shown" in message


def test_it_changes_nothing(directory: DataDirectory) -> None:
    before = directory.database.read_bytes(), directory.sandbox.read_bytes()
    findings(directory)
    assert (directory.database.read_bytes(), directory.sandbox.read_bytes()) == before


def test_a_directory_without_orders_is_an_error(tmp_path: Path) -> None:
    result = run("audit", "--data", tmp_path / "none")
    assert "has no orders yet" in str(result.exception)
