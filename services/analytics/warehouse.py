"""Warehouses: Parquet files of one machine read by DuckDB, and Amazon Athena."""

import time
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analytics.flatten import COLUMNS, PARTITION
from shared.errors import WarehouseError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TABLE = "order_events"
"""The folder, or prefix, of the Parquet files."""

VIEW = Path(__file__).with_name("order_events.sql").read_text(encoding="utf-8")
"""The select of the view ``order_events``, for DuckDB and Athena alike."""

_FILES = f"{PARTITION}=*/[!._]*.parquet"

_DUCKDB_TYPES = {"string": "varchar", "array<string>": "varchar[]", "int": "integer"}


def duckdb_type(glue_type: str) -> str:
    """Return what DuckDB calls a column type of Glue."""
    return _DUCKDB_TYPES.get(glue_type, glue_type)


def connect(folder: Path) -> "DuckDBPyConnection":
    """Return a connection with the views ``order_events`` and ``order_events_raw`` over a folder.

    It can read that folder and nothing else. Without any file there, the views are empty.
    """
    import duckdb

    folder = folder.resolve()
    connection = duckdb.connect(
        config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    )
    # the path is compared as it is written, so it stands as a path and as a pattern for itself
    paths = f"{_quoted(str(folder))}, {_quoted(escape(str(folder)))}"
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
        """Return a query's rows, of the files that are there now."""
        import duckdb

        try:
            with connect(self.folder) as connection:
                answer = connection.execute(sql, list(parameters))
                names = [column[0] for column in answer.description or ()]
                return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
        except duckdb.Error as error:
            raise WarehouseError(f"DuckDB did not answer: {error}") from error


class AthenaWarehouse:
    """Amazon Athena as a warehouse; the workgroup says where results go and who pays.

    Parameters
    ----------
    client
        A boto3 client of Athena.
    database, workgroup : str
        Where the table is, and in whose name it is read.
    patience : float
        Seconds to wait for one query.
    """

    def __init__(
        self,
        client: Any,
        database: str,
        workgroup: str,
        patience: float = 120,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.client = client
        self.database = database
        self.workgroup = workgroup
        self.patience = patience
        self.sleep = sleep

    def rows(self, sql: str, parameters: Sequence[str]) -> list[dict[str, Any]]:
        """Return a query's rows, waiting for them."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            started = self.client.start_query_execution(
                QueryString=sql,
                QueryExecutionContext={"Database": self.database},
                WorkGroup=self.workgroup,
                **_parameters(parameters),
            )
            query = started["QueryExecutionId"]
            self._wait(query)
            pages = self.client.get_paginator("get_query_results").paginate(QueryExecutionId=query)
            return _read([page["ResultSet"] for page in pages])
        except (BotoCoreError, ClientError) as error:
            raise WarehouseError(f"Athena did not answer: {error}") from error

    def _wait(self, query: str) -> None:
        waited, pause = 0.0, 0.2
        while waited < self.patience:
            found = self.client.get_query_execution(QueryExecutionId=query)
            status = found["QueryExecution"]["Status"]
            if status["State"] == "SUCCEEDED":
                return
            if status["State"] in ("FAILED", "CANCELLED"):
                reason = status.get("StateChangeReason", "no reason given")
                raise WarehouseError(f"Athena's query {query} is {status['State']}: {reason}")
            self.sleep(pause)
            waited += pause
            pause = min(pause * 1.5, 2.0)
        raise WarehouseError(f"Athena's query {query} took over {self.patience:g} s")


def _parameters(parameters: Sequence[str]) -> dict[str, list[str]]:
    """Return the parameters for Athena: SQL text, so each brings its quotes; no list is empty."""
    quoted = [_quoted(parameter) for parameter in parameters]
    return {"ExecutionParameters": quoted} if quoted else {}


def _raw(folder: Path) -> str:
    """Return the select of all delivered rows, with every column even where a file lacks it."""
    types = {**COLUMNS, PARTITION: "string"}
    empty = ", ".join(f"null::{duckdb_type(kind)} as {name}" for name, kind in types.items())
    rows = f"select {empty} where false"
    if next(folder.glob(_FILES), None):
        files = _quoted(f"{escape(str(folder))}/{_FILES}")
        options = f"union_by_name = true, hive_types = {{'{PARTITION}': varchar}}"
        rows += f" union all by name select * from read_parquet({files}, {options})"
    return f"select {', '.join(types)} from ({rows})"


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


_READERS: dict[str, Callable[[str], Any]] = {
    "tinyint": int,
    "smallint": int,
    "integer": int,
    "bigint": int,
    "double": float,
    "decimal": Decimal,
    "boolean": lambda value: value == "true",
    "date": date.fromisoformat,
    "timestamp": datetime.fromisoformat,
}


def _read(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return Athena's result pages as rows; the first row of a select repeats the names."""
    columns = results[0]["ResultSetMetadata"]["ColumnInfo"] if results else []
    readers = [(column["Name"], _READERS.get(column["Type"], str)) for column in columns]
    rows = [row["Data"] for result in results for row in result["Rows"]][1:]
    return [
        {
            name: reader(cell["VarCharValue"]) if "VarCharValue" in cell else None
            for (name, reader), cell in zip(readers, row, strict=True)
        }
        for row in rows
    ]
