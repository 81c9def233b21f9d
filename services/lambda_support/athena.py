"""SQL queries of Amazon Athena."""

import time
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from kernel.errors import WarehouseError
from lambda_support import aws

PATIENCE = 60.0
"""Seconds that a query may take: a report makes four within its function's timeout of 300 s."""


class AthenaWarehouse:
    """Athena as a warehouse; the workgroup sets the results' location and the budget.

    Parameters
    ----------
    client
        A boto3 client of Athena.
    database, workgroup : str
        The database of the table, and the workgroup of the queries.
    patience : float
        Maximum seconds to wait for one query, which is then stopped.
    """

    def __init__(
        self,
        client: Any,
        database: str,
        workgroup: str,
        patience: float = PATIENCE,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.client = client
        self.database = database
        self.workgroup = workgroup
        self.patience = patience
        self.sleep = sleep

    def rows(self, sql: str, parameters: Sequence[str]) -> list[dict[str, Any]]:
        """Run a query, wait for it, and return its rows."""
        with aws.translate_errors("Athena", "deploy the stack again", WarehouseError):
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

    def _wait(self, query: str) -> None:
        waited, pause = 0.0, 0.2
        while waited < self.patience:
            execution = self.client.get_query_execution(QueryExecutionId=query)
            status = execution["QueryExecution"]["Status"]
            if status["State"] == "SUCCEEDED":
                return
            if status["State"] in ("FAILED", "CANCELLED"):
                reason = status.get("StateChangeReason", "no reason given")
                raise WarehouseError(f"Athena's query {query} is {status['State']}: {reason}")
            self.sleep(pause)
            waited += pause
            pause = min(pause * 1.5, 2.0)
        # Athena bills an abandoned query to its end
        self.client.stop_query_execution(QueryExecutionId=query)
        raise WarehouseError(
            f"Athena's query {query} took over {self.patience:g} s and was stopped"
        )


def _parameters(parameters: Sequence[str]) -> dict[str, list[str]]:
    """Return the argument with SQL literals for Athena, which refuses an empty list."""
    literals = [quoted(parameter) for parameter in parameters]
    return {"ExecutionParameters": literals} if literals else {}


def quoted(value: str) -> str:
    """Return text as an SQL literal."""
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


def reader_of(kind: str) -> Callable[[str], Any]:
    """Return the function that reads a value of a type of Athena from its text."""
    return _READERS.get(kind, str)


def _read(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of Athena's result pages, without the first, which has the column names."""
    columns = results[0]["ResultSetMetadata"]["ColumnInfo"] if results else []
    readers = [(column["Name"], reader_of(column["Type"])) for column in columns]
    rows = [row["Data"] for result in results for row in result["Rows"]][1:]
    return [
        {
            name: reader(cell["VarCharValue"]) if "VarCharValue" in cell else None
            for (name, reader), cell in zip(readers, row, strict=True)
        }
        for row in rows
    ]
