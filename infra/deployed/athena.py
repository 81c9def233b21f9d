"""Athena's queries by their ids: start one, see its state, read its first rows, stop it.

A query is charged by the bytes that it reads, when it is started. Its id finds it again.

Source: Amazon Athena API Reference, StartQueryExecution, GetQueryExecution, GetQueryResults (at
most 1,000 rows a page).
"""

import re
from dataclasses import dataclass
from typing import Any

from infra.deployed.account import translate_errors
from infra.deployed.stack import DeployedStack
from infra.deployed.warehouse import is_select
from infra.errors import NotFound
from infra.queries.pack import QueryError
from infra.queries.warehouse import Rows
from lambda_support.athena import reader_of

PAGE = 1_000
"""Rows of one request."""

PRICE = 5.0 / 1e12
"""USD for a byte that a query reads (Amazon Athena pricing: 5 USD per TB); at least 10 MB count."""

LEAST = 10_000_000

_ID = re.compile(r"[0-9a-fA-F-]{8,128}")
_ADVICE = "name Orderflow's stack with --stack, or deploy it again"


@dataclass(frozen=True, slots=True)
class QueryState:
    """A query: its SQL, and QUEUED, RUNNING, SUCCEEDED, FAILED or CANCELLED with the reason."""

    id: str
    sql: str
    state: str
    reason: str
    read: int
    seconds: float

    @property
    def is_running(self) -> bool:
        """Whether the query has not ended."""
        return self.state in ("QUEUED", "RUNNING")

    @property
    def cost(self) -> float:
        """The price in USD."""
        return max(self.read, LEAST) * PRICE if self.read else 0.0


class Athena:
    """The queries of a stack's workgroup."""

    def __init__(self, stack: DeployedStack) -> None:
        self._client = stack.client("athena")
        self._database = stack.name("AnalyticsDatabase")
        self._workgroup = stack.name("Workgroup")

    def start(self, sql: str) -> str:
        """Start a query of one SELECT; return its id.

        Raises
        ------
        QueryError
            The text is no SELECT.
        AWSError
            Athena refused it.
        """
        if not is_select(sql):
            raise QueryError("a query must be one SELECT, which reads order_events")
        with translate_errors(f"Athena's workgroup {self._workgroup}", _ADVICE):
            started = self._client.start_query_execution(
                QueryString=sql,
                QueryExecutionContext={"Database": self._database},
                WorkGroup=self._workgroup,
            )
        return str(started["QueryExecutionId"])

    def state(self, query: str) -> QueryState:
        """Return the state of a query of this workgroup; raise `NotFound` for any other."""
        found = self._execution(query)
        if found is None or found.get("WorkGroup", self._workgroup) != self._workgroup:
            raise NotFound(f"Athena has no query {query[:80]!r} of this stack; start it again")
        status, numbers = found["Status"], found.get("Statistics", {})
        return QueryState(
            id=query,
            sql=found["Query"],
            state=status["State"],
            reason=status.get("StateChangeReason", ""),
            read=int(numbers.get("DataScannedInBytes", 0)),
            seconds=int(numbers.get("TotalExecutionTimeInMillis", 0)) / 1000,
        )

    def _execution(self, query: str) -> dict[str, Any] | None:
        from botocore.exceptions import ClientError

        if not _ID.fullmatch(query):
            return None
        with translate_errors(f"Athena's workgroup {self._workgroup}", _ADVICE):
            try:
                answer = self._client.get_query_execution(QueryExecutionId=query)
            except ClientError as error:
                if error.response["Error"]["Code"] == "InvalidRequestException":
                    return None
                raise
        execution: dict[str, Any] = answer["QueryExecution"]
        return execution

    def rows(self, query: str, most: int) -> tuple[list[str], Rows, bool]:
        """Return the columns and first rows of a query that has succeeded, and whether it has more.

        Parameters
        ----------
        most : int
            Maximum rows.
        """
        pages: list[dict[str, Any]] = []
        request: dict[str, Any] = {"QueryExecutionId": query, "MaxResults": min(PAGE, most + 2)}
        with translate_errors(f"Athena's workgroup {self._workgroup}", _ADVICE):
            while True:
                page = self._client.get_query_results(**request)
                pages.append(page["ResultSet"])
                number = sum(len(each["Rows"]) for each in pages)
                if not page.get("NextToken") or number > most:
                    break
                request["NextToken"] = page["NextToken"]
        columns, rows = _read(pages)
        return columns, rows[:most], len(rows) > most or bool(page.get("NextToken"))

    def stop(self, query: str) -> None:
        """End a query; the bytes that it has read are charged."""
        self.state(query)
        with translate_errors(f"Athena's workgroup {self._workgroup}", _ADVICE):
            self._client.stop_query_execution(QueryExecutionId=query)


def _read(pages: list[dict[str, Any]]) -> tuple[list[str], Rows]:
    """Return the columns, and the rows after the first, which has the columns' names."""
    columns = pages[0]["ResultSetMetadata"]["ColumnInfo"] if pages else []
    readers = [reader_of(column["Type"]) for column in columns]
    rows = [row["Data"] for page in pages for row in page["Rows"]][1:]
    read = [
        tuple(
            reader(cell["VarCharValue"]) if "VarCharValue" in cell else None
            for reader, cell in zip(readers, row, strict=True)
        )
        for row in rows
    ]
    return [column["Name"] for column in columns], read
