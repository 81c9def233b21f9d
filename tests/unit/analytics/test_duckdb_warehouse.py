"""DuckDB reads the delivered files, counts an event once, and has no other access."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from analytics.flatten import COLUMNS, PARTITION, VIEW_COLUMNS
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
    columns = {"order_events": VIEW_COLUMNS, "order_events_raw": {**COLUMNS, PARTITION: "string"}}
    deliver(tmp_path / "full", completed())
    for folder in ("full", "empty"):
        with connect(tmp_path / folder) as connection:
            for view, types in columns.items():
                described = connection.execute(f"describe {view}").fetchall()
                assert {name: kind for name, kind, *_ in described} == {
                    name: duckdb_type(kind).upper() for name, kind in types.items()
                }


def test_the_view_names_each_column_of_the_table(tmp_path: Path) -> None:
    chosen = VIEW.partition("select\n")[2].partition("from (")[0]
    names = [line.strip().rstrip(",").split(" as ")[-1] for line in chosen.splitlines()]
    assert names == [*VIEW_COLUMNS] == [*COLUMNS, PARTITION]


READ_BY_OPENX = {"string", "int", "timestamp"}
"""Those of our types that have a reader of their own in that SerDe: decimal has none."""


def test_the_serde_has_a_reader_for_each_type_of_a_row() -> None:
    types = {kind.removeprefix("array<").removesuffix(">") for kind in COLUMNS.values()}
    assert types <= READ_BY_OPENX


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
