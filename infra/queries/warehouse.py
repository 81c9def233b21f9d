"""Questions to the Parquet files of a data directory: the named queries, and SQL of one's own."""

import re
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from analytics.warehouse import connect
from infra.errors import Refusal

QUERIES = Path(__file__).parents[1] / "queries"

Rows = list[tuple[Any, ...]]


class QueryError(Refusal, ValueError):
    """A query cannot be answered; the message is one line."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query of the pack, which runs unchanged on DuckDB and on Athena."""

    name: str
    title: str
    sql: str


def queries() -> list[Query]:
    """Return the named queries, by name."""
    return [_query(path) for path in sorted(QUERIES.glob("*.sql"))]


def run_query(data_dir: Path, name_or_sql: str) -> tuple[list[str], Rows]:
    """Return the columns and rows of a named query, or of one SELECT in SQL.

    The query sees the views ``order_events`` and ``order_events_raw`` and can change nothing.

    Raises
    ------
    QueryError
        No such name, no single SELECT, or DuckDB does not take it.
    """
    import duckdb

    sql = sql_of(name_or_sql)
    try:
        statements = duckdb.extract_statements(sql)
        if len(statements) != 1 or statements[0].type is not duckdb.StatementType.SELECT:
            raise QueryError("one SELECT is taken, which reads order_events; nothing else")
        with connect(data_dir / "bucket") as connection:
            answer = connection.execute(sql)
            return [column[0] for column in answer.description or ()], answer.fetchall()
    except duckdb.Error as error:
        raise QueryError(_one_line(str(error))) from None


def sql_of(name_or_sql: str) -> str:
    """Return the SQL of a name; what has more than one word is SQL already.

    Raises
    ------
    QueryError
        No query has this name.
    """
    named = {query.name: query for query in queries()}
    given = name_or_sql.strip()
    name = given.replace("-", "_")
    if name in named:
        return named[name].sql
    if not given or re.fullmatch(r"[\w.-]+", given):
        raise QueryError(f"no query is named {given!r}; there are: {', '.join(named)}")
    return given


def json_value(value: Any) -> Any:
    """Return a cell as JSON has it: amounts and times as text, what is no number as null."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): json_value(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(one) for one in value]
    return str(value)


def _query(path: Path) -> Query:
    sql = path.read_text(encoding="utf-8")
    return Query(path.stem, sql.partition("\n")[0].removeprefix("-- "), sql)


def _one_line(message: str) -> str:
    """Return DuckDB's message without the picture of where in the query it is."""
    said = message.partition("\n\nLINE ")[0]
    return " ".join(said.split())
