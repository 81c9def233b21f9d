"""DuckDB reads the delivered files, counts an event once, and has no other access."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from analytics.columns import COLUMNS, PARTITION, VIEWS
from analytics.view import VIEW
from analytics.warehouse import DuckDBWarehouse, connect, duckdb_type
from kernel.errors import WarehouseError
from tests.unit.analytics.lake import NOON, completed, deliver, envelope, order

COUNT = "select count(*) as events from order_events"


def count(bucket: Path, sql: str = COUNT) -> int:
    [row] = DuckDBWarehouse(bucket).rows(sql, ())
    return int(row["events"])


def test_an_event_delivered_twice_is_one_event_and_its_first_arrival_counts(
    tmp_path: Path,
) -> None:
    deliver(tmp_path, completed("A-1"), at=NOON + timedelta(days=2))
    deliver(tmp_path, completed("A-1"), completed("A-2"), at=NOON)
    assert count(tmp_path) == 2
    assert count(tmp_path, "select count(*) as events from order_events_raw") == 3
    rows = DuckDBWarehouse(tmp_path).rows("select arrived_at, dt from order_events", ())
    assert rows == [{"arrived_at": NOON.replace(tzinfo=None), "dt": "2026-01-31"}] * 2


def test_a_replayed_event_is_the_event_it_replays(tmp_path: Path) -> None:
    deliver(tmp_path, completed("A-1"), at=NOON)
    again = {**completed("A-1"), "replay-name": "january"}
    deliver(tmp_path, again, at=NOON + timedelta(days=40))
    assert count(tmp_path) == 1
    assert count(tmp_path, COUNT + " where replay_name is null") == 1


def test_the_views_have_every_column_in_its_type(tmp_path: Path) -> None:
    columns = {view: {one.name: one.type for one in listed} for view, listed in VIEWS.items()}
    columns["order_events_raw"] = {**COLUMNS, PARTITION: "string"}
    deliver(tmp_path / "full", completed())
    for folder in ("full", "empty"):
        with connect(tmp_path / folder) as connection:
            for view, types in columns.items():
                described = connection.execute(f"describe {view}").fetchall()
                assert {name: kind.lower() for name, kind, *_ in described} == {
                    name: duckdb_type(kind) for name, kind in types.items()
                }


def test_the_view_names_each_column_of_the_table(tmp_path: Path) -> None:
    chosen = VIEW.partition("select\n")[2].partition("from (")[0]
    names = [line.strip().rstrip(",").split(" as ")[-1] for line in chosen.splitlines()]
    assert names == [one.name for one in VIEWS["order_events"]] == [*COLUMNS, PARTITION]


READ_BY_OPENX = {"string", "int", "bigint", "timestamp"}
"""Those of our types that have a reader of their own in that SerDe: decimal has none."""


def test_the_serde_has_a_reader_for_each_type_of_a_row() -> None:
    types = " ".join(COLUMNS.values())
    for nesting in ("array<", "struct<", ">"):
        types = types.replace(nesting, " ")
    found = {field.rpartition(":")[2] for field in types.replace(",", " ").split()}
    assert found <= READ_BY_OPENX


def test_files_with_amounts_as_decimals_are_read_beside_files_with_amounts_as_text(
    tmp_path: Path,
) -> None:
    """Version 0.2.0 wrote decimals."""
    path = deliver(tmp_path, completed("A-1", ("TEA", 2, 12.5)))
    older = path.with_name("older.parquet")
    with duckdb.connect() as connection:
        connection.execute(
            "copy (select * replace (cast(total as decimal(18,2)) as total,"
            " cast(amount as decimal(18,2)) as amount)"
            f" from '{path}') to '{older}' (format parquet)"
        )
    path.unlink()
    query = "select order_id, total, amount from order_events order by 1"
    first = {"order_id": "A-1", "total": Decimal("25.00"), "amount": None}
    assert DuckDBWarehouse(tmp_path).rows(query, ()) == [first]
    deliver(tmp_path, completed("A-2", ("TEA", 1, 12.34)))
    second = {"order_id": "A-2", "total": Decimal("12.34"), "amount": None}
    assert DuckDBWarehouse(tmp_path).rows(query, ()) == [first, second]


@pytest.mark.parametrize("folder", ["", "order_events", "order_events/dt=2026-01-31"])
def test_a_folder_without_files_has_no_rows(tmp_path: Path, folder: str) -> None:
    (tmp_path / "bucket" / folder).mkdir(parents=True)
    assert count(tmp_path / "bucket") == 0
    assert count(tmp_path / "nowhere") == 0


def test_an_older_file_without_the_newer_columns_is_read(tmp_path: Path) -> None:
    deliver(tmp_path, completed("A-1"), columns=["event_id", "event_type", "order_id"])
    deliver(tmp_path, completed("A-2", ("TEA", 1, 12.34)))
    rows = DuckDBWarehouse(tmp_path).rows("select order_id, total from order_events order by 1", ())
    assert rows == [
        {"order_id": "A-1", "total": None},
        {"order_id": "A-2", "total": Decimal("12.34")},
    ]


def test_an_unfinished_file_is_not_read(tmp_path: Path) -> None:
    path = deliver(tmp_path, completed("A-1"))
    path.with_name(".part.parquet").write_bytes(b"PAR1 half")
    path.with_name("_part.parquet").write_bytes(b"")
    path.with_name("0001.parquet.part").write_bytes(b"")
    assert count(tmp_path) == 1


def test_new_files_are_seen_at_once(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(tmp_path)
    assert warehouse.rows(COUNT, ()) == [{"events": 0}]
    deliver(tmp_path, completed("A-1"))
    assert warehouse.rows(COUNT, ()) == [{"events": 1}]


@pytest.mark.parametrize("name", ["it's", "a [1] b", "100%20*", "dt=2020-01-01"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    deliver(tmp_path / "lake", completed("A-1"))
    (tmp_path / "lake").rename(tmp_path / name)
    assert count(tmp_path / name) == 1


def test_a_relative_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver(tmp_path / "bucket", envelope("Order Created", order()))
    monkeypatch.chdir(tmp_path)
    assert count(Path("bucket")) == 1


def test_parameters_are_values_and_never_sql(tmp_path: Path) -> None:
    sql = "select ? as given, 1 as events"
    given = "'; drop view order_events; --"
    assert DuckDBWarehouse(tmp_path).rows(sql, (given,)) == [{"given": given, "events": 1}]


@pytest.mark.parametrize(
    "sql",
    [
        "select * from nowhere",
        "select * from read_text('{outside}')",
        "select * from read_text('{folder}/../secret')",
        "select * from glob('{outside}')",
        "copy (select 1) to '{outside}2'",
        "attach '{outside}.db' as other",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "install httpfs",
        "select * from secret",
    ],
)
def test_files_outside_the_folder_cannot_be_read(tmp_path: Path, sql: str) -> None:
    outside = tmp_path / "secret"
    outside.write_text("secret")
    bucket = tmp_path / "bucket"
    bucket.mkdir()
    secret = duckdb.sql("select 1")  # noqa: F841 - a Python variable is no table either
    with pytest.raises(WarehouseError):
        DuckDBWarehouse(bucket).rows(sql.format(outside=outside, folder=bucket), ())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bucket", "secret"]


def test_files_with_lines_as_text_are_read_beside_files_with_lines_as_structs(
    tmp_path: Path,
) -> None:
    """Version 0.2.0 wrote ``sku|quantity|unit_price``, the day as a column, and no zone."""
    missing = [{"sku": "TEA", "requested": 5, "available": 1}]
    waiting = envelope("Order Backordered", order("A-1", ("TEA", 5, 1.5), missing=missing))
    path = deliver(tmp_path, waiting)
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(
            f"""copy (select * exclude (origin) replace (
                ['TEA|5|1.50'] as lines, ['TEA|5|1'] as missing,
                event_time::timestamp as event_time, arrived_at::timestamp as arrived_at
            ) from read_parquet('{path}')) to '{path.with_name("old.parquet")}' (format parquet)"""
        )
    path.unlink()
    deliver(tmp_path, completed("A-2", ("TEA", 2, 1.5)))
    rows = DuckDBWarehouse(tmp_path).rows(
        "select order_id, sku, quantity, amount from order_lines order by 1", ()
    )
    assert [tuple(row.values()) for row in rows] == [
        ("A-1", "TEA", 5, Decimal("7.50")),
        ("A-2", "TEA", 2, Decimal("3.00")),
    ]
    [row] = DuckDBWarehouse(tmp_path).rows(
        "select missing, event_time from order_events where missing is not null", ()
    )
    assert row == {"missing": missing, "event_time": NOON.replace(tzinfo=None)}


def test_no_view_has_a_fact_of_another_sender_even_with_the_id_of_a_true_one(
    tmp_path: Path,
) -> None:
    forged = {**completed("A-1", ("TEA", 1, 9.0)), "origin": "external"}
    for event in (forged, completed("A-1", ("TEA", 2, 12.5))):
        event["detail"]["metadata"] = {"event_id": "same"}
        deliver(tmp_path, event, at=NOON)
    deliver(tmp_path, {**completed("A-2"), "origin": "external"}, at=NOON)
    rows = DuckDBWarehouse(tmp_path).rows("select order_id, status, total from orders", ())
    assert rows == [{"order_id": "A-1", "status": "COMPLETED", "total": Decimal("25.00")}]
    assert count(tmp_path, "select count(*) as events from order_events_raw") == 3
    assert count(tmp_path, "select count(*) as events from order_lines") == 1


def test_two_orders_with_one_event_id_are_two_orders(tmp_path: Path) -> None:
    same = {"metadata": {"event_id": "same"}}
    deliver(tmp_path, *(envelope("Order Created", order(one, **same)) for one in ("A-1", "A-2")))
    assert count(tmp_path, "select count(*) as events from orders") == 2


def test_an_order_has_one_row_with_its_country_its_waits_and_its_refund(tmp_path: Path) -> None:
    address = {"name": "N", "street": "S", "city": "C", "country": "Austria"}
    short = [{"sku": "TEA", "requested": 5, "available": 1}]
    created = envelope("Order Created", order("A-1", shipping_address=address))
    changed = envelope("Order Created", order("A-1", ("TEA", 9, 1.0)))
    money = {"order_id": "A-1", "customer_id": "C-42", "currency": "USD", "charge_id": "c"}
    refund = {**money, "timestamp": "2026-01-31T12:00:00Z", "amount": 25, "reason": "CarrierError"}
    deliver(tmp_path, created, at=NOON)
    deliver(tmp_path, changed, at=NOON + timedelta(seconds=1))
    for number in range(2):
        waited = order("A-1", missing=short, metadata={"event_id": f"w{number}"})
        deliver(tmp_path, envelope("Order Backordered", waited))
    failed = order("A-1", reason="CarrierError", message="no")
    deliver(
        tmp_path,
        envelope("Order Failed", failed),
        envelope("Payment Refunded", refund),
        at=NOON + timedelta(seconds=5),
    )
    [row] = DuckDBWarehouse(tmp_path).rows("select * from orders", ())
    assert row["status"] == "FAILED"
    assert (row["total"], row["refunded"]) == (Decimal("25.00"), Decimal("25.00"))
    assert (row["ship_country"], row["waits"], row["seconds"]) == ("Austria", 2, 5.0)
