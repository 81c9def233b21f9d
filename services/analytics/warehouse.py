"""The warehouse of one machine: DuckDB over Parquet files (on AWS: `lambda_support.athena`)."""

from collections.abc import Sequence
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analytics.flatten import COLUMNS, PARTITION
from analytics.view import VIEW
from kernel.errors import WarehouseError
from lambda_support.athena import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TABLE = "order_events"
"""The folder or prefix of the Parquet files."""

_FILES = f"{PARTITION}=*/[!._]*.parquet"

_DUCKDB_TYPES = {"string": "varchar", "array<string>": "varchar[]", "int": "integer"}


def duckdb_type(glue_type: str) -> str:
    """Return the DuckDB name of a Glue column type."""
    return _DUCKDB_TYPES.get(glue_type, glue_type)


def connect(folder: Path) -> "DuckDBPyConnection":
    """Return a connection with the views ``order_events`` and ``order_events_raw`` over a folder.

    The connection can read only that folder. Without a file in it, the views are empty.
    """
    import duckdb

    folder = folder.resolve()
    connection = duckdb.connect(
        config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    )
    # DuckDB compares paths as text, so the list has the path and the pattern that matches it
    paths = f"{quoted(str(folder))}, {quoted(escape(str(folder)))}"
    connection.execute(f"set allowed_directories = [{paths}]")
    connection.execute("set enable_external_access = false")
    connection.execute(f"create view order_events_raw as {_raw(folder / TABLE)}")
    connection.execute(f"create view order_events as {VIEW}")
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
                answer = connection.execute(sql, list(parameters))
                names = [column[0] for column in answer.description or ()]
                return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
        except duckdb.Error as error:
            raise WarehouseError(f"DuckDB did not answer: {error}") from error


def _raw(folder: Path) -> str:
    """Return the select of all delivered rows, with every column even if a file lacks it."""
    types = {**COLUMNS, PARTITION: "string"}
    empty = ", ".join(f"null::{duckdb_type(kind)} as {name}" for name, kind in types.items())
    rows = f"select {empty} where false"
    if next(folder.glob(_FILES), None):
        files = quoted(f"{escape(str(folder))}/{_FILES}")
        options = f"union_by_name = true, hive_types = {{'{PARTITION}': varchar}}"
        rows += f" union all by name select * from read_parquet({files}, {options})"
    return f"select {', '.join(types)} from ({rows})"
