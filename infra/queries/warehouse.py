"""Queries on the Parquet files of a data directory: the named ones, and any SELECT."""

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
    """A query is invalid, or failed; the message is one line."""


@dataclass(frozen=True, slots=True)
class Query:
    """A named query, the same for DuckDB and for Athena."""

    name: str
    title: str
    sql: str


def queries() -> list[Query]:
    """Return the named queries, by name."""
    return [_query(path) for path in sorted(QUERIES.glob("*.sql"))]


def run_query(data_dir: Path, name_or_sql: str) -> tuple[list[str], Rows]:
    """Return the columns and rows of a named query, or of one SELECT in SQL.

    The query can read the views ``order_events`` and ``order_events_raw``, and change nothing.

    Raises
    ------
    QueryError
        The name is unknown, it is no single SELECT, or DuckDB rejects it.
    """
    import duckdb

    sql = sql_of(name_or_sql)
    try:
        sql.encode()
    except UnicodeEncodeError:
        raise QueryError("the query is not text in UTF-8; correct its characters") from None
    try:
        statements = duckdb.extract_statements(sql)
        if len(statements) != 1 or statements[0].type is not duckdb.StatementType.SELECT:
            raise QueryError("a query must be one SELECT, which reads order_events")
        with connect(data_dir / "bucket") as connection:
            answer = connection.execute(sql)
            return [column[0] for column in answer.description or ()], answer.fetchall()
    except duckdb.Error as error:
        raise QueryError(_one_line(str(error))) from None


def sql_of(name_or_sql: str) -> str:
    """Return the SQL of a named query; a text of several words is SQL already.

    Raises
    ------
    QueryError
        No query has this name.
    """
    named = {query.name: query for query in queries()}
    text = name_or_sql.strip()
    name = text.replace("-", "_")
    if name in named:
        return named[name].sql
    if not text or re.fullmatch(r"[\w.-]+", text):
        raise QueryError(f"no query is named {text!r}; there are: {', '.join(named)}")
    return text


def json_value(value: Any) -> Any:
    """Return a cell as a JSON value: amounts and times as text, NaN and infinity as null."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): json_value(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(element) for element in value]
    return str(value)


def _query(path: Path) -> Query:
    sql = path.read_text(encoding="utf-8")
    return Query(path.stem, sql.partition("\n")[0].removeprefix("-- "), sql)


def _one_line(message: str) -> str:
    """Return DuckDB's message without its excerpt of the query."""
    text = message.partition("\n\nLINE ")[0]
    return " ".join(text.split())
