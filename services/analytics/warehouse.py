"""The warehouse of one machine: DuckDB over Parquet files (on AWS: `lambda_support.athena`)."""

import re
from collections.abc import Sequence
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analytics.columns import COLUMNS, PARTITION
from analytics.view import VIEW_SQL, for_duckdb
from kernel.errors import WarehouseError
from lambda_support.athena import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TABLE = "order_events"
"""The folder or prefix of the Parquet files."""

_FILES = f"{PARTITION}=*/[!._]*.parquet"

_STRUCT = re.compile(r"array<struct<(.*)>>")
_DUCKDB_TYPES = {"string": "varchar", "array<string>": "varchar[]", "int": "integer"}
_OLD_LINES = """\
list_transform({0}, lambda line: struct_pack(
    sku := split_part(line, '|', 1),
    {1} := cast(split_part(line, '|', 2) as {4}),
    {2} := cast(split_part(line, '|', 3) as {3})))"""


def duckdb_type(glue_type: str) -> str:
    """Return the DuckDB name of a Glue column type.

    A timestamp has a zone in the files; the views have it in UTC, as Athena.
    """
    struct = _STRUCT.fullmatch(glue_type)
    if struct:
        fields = (field.split(":") for field in struct[1].split(","))
        return f"struct({', '.join(f'{name} {duckdb_type(kind)}' for name, kind in fields)})[]"
    return _DUCKDB_TYPES.get(glue_type, glue_type)


def file_type(glue_type: str) -> str:
    """Return the DuckDB type of a column in a file: a timestamp has its zone, UTC."""
    return "timestamptz" if glue_type == "timestamp" else duckdb_type(glue_type)


def connect(
    folder: Path, *, memory: str | None = None, writable: Path | None = None
) -> "DuckDBPyConnection":
    """Return a connection with ``order_events_raw`` and the views of `analytics.columns`.

    The connection can read only that folder, and write only ``writable``. Without a file in the
    folder, the views are empty. ``memory`` limits a query's, such as 1GB.
    """
    import duckdb

    folder = folder.resolve()
    connection = duckdb.connect(
        config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    )
    # DuckDB compares paths as text, so the list has the path and the pattern that matches it
    paths = f"{quoted(str(folder))}, {quoted(escape(str(folder)))}"
    connection.execute(f"set allowed_directories = [{paths}]")
    if writable is not None:
        connection.execute(f"set allowed_paths = [{quoted(str(writable))}]")
    if memory is not None:
        connection.execute(f"set memory_limit = {quoted(memory)}")
        connection.execute("set temp_directory = ''")
    connection.execute("set enable_external_access = false")
    connection.execute("set TimeZone = 'UTC'")
    connection.execute(f"create view order_events_raw as {_raw(connection, folder / TABLE)}")
    for name, sql in VIEW_SQL.items():
        connection.execute(f"create view {name} as {for_duckdb(sql)}")
    connection.execute("set lock_configuration = true")
    return connection


class DuckDBWarehouse:
    """A warehouse (see `analytics.usecases.Warehouse`) over a folder of Parquet files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def rows(self, sql: str, parameters: Sequence[str]) -> list[dict[str, Any]]:
        """Return a query's rows over the current files."""
        import duckdb

        try:
            with connect(self.folder) as connection:
                answer = connection.execute(for_duckdb(sql), list(parameters))
                names = [column[0] for column in answer.description or ()]
                return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
        except duckdb.Error as error:
            raise WarehouseError(f"DuckDB did not answer: {error}") from error


def _raw(connection: "DuckDBPyConnection", folder: Path) -> str:
    """Return the select of all delivered rows, with every column even if a file lacks it.

    Files of before version 0.3 have lines as text, ``sku|quantity|unit_price``.
    """
    types = {**COLUMNS, PARTITION: "string"}
    rows = "select " + ", ".join(f"null::{duckdb_type(t)} as {name}" for name, t in types.items())
    rows += " where false"
    old, new = _files_by_form(connection, folder)
    if new:
        rows += f" union all by name select * from {_read(new)}"
    if old:
        lines = _OLD_LINES.format("lines", "quantity", "unit_price", "varchar", "integer")
        missing = _OLD_LINES.format("missing", "requested", "available", "bigint", "bigint")
        empty = "select null::varchar[] as lines, null::varchar[] as missing where false"
        source = f"({empty} union all by name select * from {_read(old)})"
        replaced = f"select * replace ({lines} as lines, {missing} as missing) from {source}"
        rows += f" union all by name {replaced}"
    cells = (f"cast({name} as {duckdb_type(kind)}) as {name}" for name, kind in types.items())
    return f"select {', '.join(cells)} from ({rows})"


def _files_by_form(
    connection: "DuckDBPyConnection", folder: Path
) -> tuple[Sequence[str], Sequence[str]]:
    """Return the files with lines as text, and those with lines as structs or without lines."""
    if next(folder.glob(_FILES), None) is None:
        return [], []
    pattern = f"{escape(str(folder))}/{_FILES}"
    found = connection.execute(
        "select file_name, count(*) filter (name = 'lines') > 0"
        " and count(*) filter (name = 'quantity') = 0"
        f" from parquet_schema({quoted(pattern)}) group by 1 order by 1"
    ).fetchall()
    old = [escape(name) for name, is_old in found if is_old]
    if not old:
        return [], [pattern]
    return old, [escape(name) for name, is_old in found if not is_old]


def _read(files: Sequence[str]) -> str:
    listed = ", ".join(map(quoted, files))
    return (
        f"read_parquet([{listed}], union_by_name = true, hive_types = {{'{PARTITION}': varchar}})"
    )
