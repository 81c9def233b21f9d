"""``orders list``: SQL and Python select the same orders, and pages are complete."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from infra.cli.moments import moment_of
from infra.local.directory.data_directory import DataDirectory
from infra.views.local_story import list_orders
from infra.views.order_filter import InvalidCursor, ListOrder, OrderFilter
from infra.views.order_list import PRESETS, ListFilter, order_page
from kernel.order_record import OrderRecord
from kernel.order_status import ENDED, PAUSED
from storage.sqlite.database import Database
from storage.sqlite.records import RECORD, to_record
from tests.fakes.serving import orders


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> DataDirectory:
    """Return a directory with orders of every status."""
    where = DataDirectory(tmp_path_factory.mktemp("list") / "data")
    orders("run", "--count", "150", "--workers", "0", "--data", where.root)
    waiting = ", ".join(f"'G1-{number:06}'" for number in range(20, 26))
    with where.writer() as database, database.write() as connection:
        connection.execute(
            "update orders set status = 'WAITING', in_flight = 1, waiting_for = 'OutOfStock',"
            f" resume_at = updated_at + 300, shipment = null where order_id in ({waiting})"
        )
        connection.execute(
            "update orders set email = 'Ünal_100%@EXAMPLE.com' where order_id = 'G1-000030'"
        )
    return where


@pytest.fixture(scope="module")
def reader(where: DataDirectory) -> Iterator[Database]:
    database = where.reader()
    yield database
    database.close()


@pytest.fixture(scope="module")
def records(reader: Database) -> list[OrderRecord]:
    return [to_record(row) for row in reader.rows(f"select {RECORD} from orders")]


def expected(records: list[OrderRecord], wanted: OrderFilter) -> list[str]:
    matching = sorted(filter(wanted.matches, records), key=wanted.key)
    ordered = matching if wanted.is_ascending else matching[::-1]
    return [record.order_id for record in ordered[: wanted.limit]]


def listed(where: DataDirectory, wanted: OrderFilter) -> list[str]:
    return [order.order_id for order in list_orders(where, wanted).orders]


@pytest.mark.parametrize("order", list(ListOrder))
@pytest.mark.parametrize(
    "statuses", [(), ("WAITING",), ("FAILED", "CANCELLED"), ("COMPLETED", "WAITING")]
)
def test_sql_and_python_select_the_same_orders(
    where: DataDirectory,
    records: list[OrderRecord],
    statuses: tuple[str, ...],
    order: ListOrder,
) -> None:
    middle = sorted(record.created_at for record in records)[len(records) // 2]
    sku = records[0].items[0].sku
    found = 0
    for changes in (
        {},
        {"reason": "outofstock"},
        {"reason": "PaymentDeclined"},
        {"customer": records[3].customer_id},
        {"sku": sku},
        {"sku": sku[:-1]},
        {"since": middle},
        {"until": middle, "sku": sku},
        {"text": "g1-00002"},
        {"text": "Ünal_100%@example"},
        {"text": "ünal"},
        {"text": "_"},
        {"text": "\\"},
    ):
        wanted = OrderFilter(frozenset(statuses), order=order, limit=30, **changes)
        ids = listed(where, wanted)
        assert ids == expected(records, wanted), changes
        found += len(ids)
    assert found


@pytest.mark.parametrize("order", list(ListOrder))
def test_pages_are_the_whole_list(
    where: DataDirectory, records: list[OrderRecord], order: ListOrder
) -> None:
    wanted = OrderFilter(order=order, limit=40)
    ids: list[str] = []
    while True:
        page = list_orders(where, wanted)
        ids += [each.order_id for each in page.orders]
        if page.next is None:
            break
        wanted = replace(wanted, after=page.next)
    assert ids == expected(records, replace(wanted, after=None, limit=1_000))
    assert len(ids) == len(records)


@pytest.mark.parametrize("order", list(ListOrder))
@pytest.mark.parametrize(
    "conditions",
    [
        {"statuses": frozenset({"FAILED", "CANCELLED"})},
        {"statuses": frozenset({"WAITING"})},
        {"reason": "outofstock"},
        {"text": "g1-", "statuses": frozenset({"COMPLETED"})},
        {"text": "nothing has it"},
        {},
    ],
)
def test_a_search_that_ends_early_goes_on_to_the_whole_list(
    where: DataDirectory,
    records: list[OrderRecord],
    order: ListOrder,
    conditions: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("infra.views.order_list.SEARCHED", 7)
    wanted = ListFilter(**conditions, order=order, limit=5)
    ids: list[str] = []
    for _ in range(len(records)):
        page = order_page(where.reader(), wanted)
        ids += [each.order_id for each in page.orders]
        assert page.searched_all or page.next is not None
        if page.next is None:
            break
        wanted = replace(wanted, after=page.next)
    assert ids == expected(records, replace(wanted, after=None, limit=1_000))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("status", ["", "FAILED", "WAITING", "COMPLETED"])
def test_a_preset_and_a_status_hold_both(
    where: DataDirectory, records: list[OrderRecord], preset: str, status: str
) -> None:
    database = where.reader()
    reviewed = {row["order_id"] for row in database.rows("select order_id from reviews")}
    holds: dict[str, Callable[[OrderRecord], bool]] = {
        "in-flight": lambda record: record.status not in ENDED,
        "waiting": lambda record: record.status in PAUSED,
        "needs-person": lambda record: record.status == "AWAITING_APPROVAL",
        "failed-today": lambda record: record.status == "FAILED",
        "high-value": lambda record: record.order_id in reviewed,
    }
    statuses = frozenset([status] if status else [])
    wanted = ListFilter(preset=preset, statuses=statuses, limit=1_000, now=time.time())
    found = [each.order_id for each in order_page(database, wanted).orders]
    assert found == expected([record for record in records if holds[preset](record)], wanted)


def test_a_waiting_order_says_for_what_and_until_when(where: DataDirectory) -> None:
    [first, *_] = list_orders(where, OrderFilter(frozenset({"WAITING"}))).orders
    assert first.waits_for == "stock"
    assert first.until is not None
    shown = orders("list", "--status", "waiting", "--limit", "1", "--data", where.root)
    assert "waits for stock until 20" in shown.stdout
    assert "there are more: --limit, or --after " in shown.stdout


def test_the_command_takes_every_filter(where: DataDirectory) -> None:
    done = orders(
        *("list", "--status", "failed", "--status", "cancelled", "--reason", "PaymentDeclined"),
        *("--since", "2000-01-01", "--until", "2100-01-01T00:00Z", "--order", "oldest"),
        *("--text", "G1-", "--limit", "3", "--data", where.root, "--json"),
    )
    page = json.loads(done.stdout)
    assert {order["failure"] for order in page["orders"]} == {"PaymentDeclined"}
    created = [order["created_at"] for order in page["orders"]]
    assert created == sorted(created)


def test_an_empty_list_has_a_message(where: DataDirectory) -> None:
    assert orders("list", "--sku", "NONE", "--data", where.root).stdout == "no order matches\n"


@pytest.mark.parametrize("cursor", ["x", "x:G1-000001", ""])
def test_a_text_that_is_no_cursor_is_refused(where: DataDirectory, cursor: str) -> None:
    with pytest.raises(InvalidCursor, match="--after"):
        list_orders(where, OrderFilter(after=cursor))


@pytest.mark.parametrize(
    ("text", "seconds_ago"), [("30m", 1_800), ("2h", 7_200), ("3d", 3 * 86_400)]
)
def test_an_age_is_a_time(text: str, seconds_ago: float) -> None:
    assert moment_of("--since", text) == pytest.approx(time.time() - seconds_ago, abs=5)


def test_a_time_without_a_zone_is_in_utc() -> None:
    assert moment_of("--since", "1970-01-02") == 86_400
    assert moment_of("--since", "1970-01-01T01:00+01:00") == 0
    yesterday, today = moment_of("--since", "yesterday"), moment_of("--since", "today")
    assert yesterday is not None
    assert today == yesterday + 86_400
    assert moment_of("--since", None) is None


def test_a_text_that_is_no_time_is_refused_with_examples() -> None:
    with pytest.raises(typer.BadParameter, match="--since: 'soon' is no time; write 2026"):
        moment_of("--since", "soon")


@pytest.mark.parametrize("command", ["list", "status"])
def test_a_quick_command_imports_nothing_slow(command: str) -> None:
    slow = ("pydantic", "boto3", "yaml", "uvicorn", "duckdb", "aws_lambda_powertools")
    code = (
        f"import sys; import infra.cli.main, infra.cli.commands.{command};"
        f" print(*[name for name in {slow} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_directory_of_many_orders_is_searched_quickly(tmp_path: Path) -> None:
    where = DataDirectory(tmp_path / "data")
    orders("run", "--count", "20", "--workers", "0", "--data", where.root)
    with where.writer() as database, database.write() as connection:
        names = [row["name"] for row in database.rows("select * from pragma_table_info('orders')")]
        others = ", ".join(name for name in names if name != "order_id")
        connection.execute(
            "with recursive n (i) as (select 1 union all select i + 1 from n where i < 100000)"
            f" insert into orders (order_id, {others}) select 'X-' || i, {others}"
            " from n, (select * from orders where status = 'COMPLETED' limit 1)"
        )
    for wanted, most in (
        (OrderFilter(), 0.1),
        (OrderFilter(frozenset({"WAITING"})), 0.1),
        (OrderFilter(frozenset({"FAILED"}), reason="OutOfStock"), 0.3),
    ):
        times = []
        for _ in range(3):
            start = time.perf_counter()
            list_orders(where, wanted)
            times.append(time.perf_counter() - start)
        assert min(times) < most, wanted
