"""`orders query`: formats of the answer, and a query that ends with its command."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from infra.queries import attach
from infra.queries.child import answering_in_process
from infra.queries.pack import QueryError
from tests.unit.analytics.lake import NOON, completed, deliver, envelope, order

ORDERS = [str(Path(sys.executable).with_name("orders")), "query"]
ENDLESS = "select count(*) from range(1000000000) as a, range(1000000000) as b"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with 450 orders, of which one is completed."""
    folder = tmp_path_factory.mktemp("data")
    created = [envelope("Order Created", order(f"A-{number}")) for number in range(450)]
    deliver(folder / "bucket", *created, at=NOON)
    deliver(folder / "bucket", completed("A-1"), at=NOON + timedelta(seconds=2))
    (folder / "orderflow.db").touch()
    return folder


def run(data: Path, *arguments: object, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [*ORDERS, "--data", str(data), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


def test_csv_and_ndjson_have_every_row_and_nothing_else(data: Path) -> None:
    sql = "select order_id, total, reason from orders order by 1"
    rows = list(csv.reader(run(data, sql, "--csv").stdout.splitlines()))
    assert rows[0] == ["order_id", "total", "reason"]
    assert len(rows) == 451
    assert rows[1] == ["A-0", "25.00", ""]
    objects = [json.loads(line) for line in run(data, sql, "--ndjson").stdout.splitlines()]
    assert len(objects) == 450
    assert objects[0] == {"order_id": "A-0", "total": "25.00", "reason": None}


def test_columns_of_one_name_are_members_of_their_own(data: Path) -> None:
    done = run(data, "select 1 as a, 2 as a, 3 as a_2, 4 as a", "--ndjson")
    assert json.loads(done.stdout) == {"a": 1, "a_3": 2, "a_2": 3, "a_4": 4}


def test_json_is_one_document_and_nothing_else(data: Path) -> None:
    answer = json.loads(run(data, "orders_by_status", "--json").stdout)
    assert answer["columns"] == ["status", "currency", "orders", "total"]
    assert answer["truncated"] is False


def test_a_file_has_the_format_of_its_suffix(data: Path, tmp_path: Path) -> None:
    for suffix in ("csv", "ndjson", "json", "parquet"):
        to = tmp_path / f"answer.{suffix}"
        done = run(data, "select order_id from orders", "-o", to)
        assert (done.returncode, done.stdout) == (0, "")
        assert to.stat().st_size > 0
    with duckdb.connect() as connection:
        path = tmp_path / "answer.parquet"
        assert connection.execute(f"select count(*) from '{path}'").fetchall() == [(450,)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "answer.csv",
        "answer.json",
        "answer.ndjson",
        "answer.parquet",
    ]
    refused = run(data, "select 1 as one", "-o", tmp_path / "answer.xls")
    assert refused.returncode != 0
    assert ".parquet" in refused.stderr


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_a_chart_drops_no_other_answer(data: Path, tmp_path: Path, form: str) -> None:
    page, to = tmp_path / "chart.html", tmp_path / f"answer.{form}"
    refused = run(data, "orders_by_status", "-o", to, "--chart", page)
    assert refused.returncode == 1
    assert f"--chart: goes with a table or --json, not with {form}" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_table_says_how_many_rows_it_shows_and_shows_null(data: Path) -> None:
    text = run(data, "select order_id, reason from orders").stdout
    assert "the first 200 rows; --csv, --ndjson and -o FILE have all" in text
    assert "NULL" in text
    assert "as of " in text


def test_a_query_is_read_from_a_file_or_from_standard_input(data: Path, tmp_path: Path) -> None:
    sql = "select count(*) as n from orders"
    file = tmp_path / "mine.sql"
    file.write_text(sql)
    assert run(data, file, "--csv").stdout == "n\n450\n"
    assert run(data, "-", "--csv", input=sql).stdout == "n\n450\n"
    assert "cannot be read" in run(data, tmp_path / "none.sql").stderr


def test_an_error_has_the_line_of_the_query_with_a_mark(data: Path) -> None:
    done = run(data, "select 1 as a,\n  foo from orders", "--dialect", "duckdb")
    line, mark, message = done.stderr.splitlines()
    assert line == "LINE 2:   foo from orders"
    assert mark == " " * line.index("foo") + "^^^"
    assert message.startswith('orders: Binder Error: Referenced column "foo"')


def test_ctrl_c_ends_a_query_within_a_second(data: Path) -> None:
    process = subprocess.Popen(
        [*ORDERS, "--data", str(data), ENDLESS, "--dialect", "duckdb"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    child = _child_of(process.pid)
    time.sleep(0.5)
    before = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert time.monotonic() - before < 1
    assert process.returncode == 130
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def _child_of(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    for _ in range(200):
        found = children.read_text().split()
        if found:
            return int(found[0])
        time.sleep(0.05)
    raise AssertionError("the query has no process of its own")


def test_a_query_whose_process_ends_is_an_error(data: Path) -> None:
    with (
        pytest.raises(QueryError, match="one SELECT"),
        answering_in_process(data / "bucket", "drop view orders"),
    ):
        pass
    with answering_in_process(data / "bucket", "select 1 as one") as (columns, batches):
        assert (columns, list(batches)) == (["one"], [[(1,)]])


@pytest.mark.parametrize("tool", ["DuckDB", "pandas", "polars"])
def test_the_printed_lines_open_the_folder(data: Path, tool: str) -> None:
    text = attach.local((data / "bucket" / "order_events").absolute())[tool]
    assert text.split("\n")[-1] in run(data, "--attach").stdout
    if tool == "DuckDB":
        with duckdb.connect() as connection:
            connection.execute(f"create table events as {text}")
            assert connection.execute("select count(*) from events").fetchall() == [(451,)]
        return
    pytest.importorskip(tool)
    names: dict[str, Any] = {}
    exec(text, names)  # noqa: S102 - the lines that are printed
    assert len(names["events"]) == 451


def test_the_lines_of_a_stack_are_a_call_of_awswrangler() -> None:
    calls: list[Any] = []

    class Athena:
        @staticmethod
        def read_sql_query(sql: str, **more: Any) -> str:
            calls.append((sql, more))
            return "frame"

    text = attach.deployed("orderflow_dev", "orderflow_dev")["awswrangler"]
    names: dict[str, Any] = {"awswrangler": type("Wrangler", (), {"athena": Athena})}
    exec(text.removeprefix("import awswrangler\n"), names)  # noqa: S102
    assert names["orders"] == "frame"
    assert calls[0][0] == "select * from orders"
    assert calls[0][1]["database"] == "orderflow_dev"
