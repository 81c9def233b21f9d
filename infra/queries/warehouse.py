"""Queries on the Parquet files of a data directory: the named ones, and any SELECT."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analytics.warehouse import connect
from infra.queries.dialect import to_duckdb
from infra.queries.pack import QueryError, named

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Rows = list[tuple[Any, ...]]

MEMORY = "1GB"
"""Memory of one query; DuckDB ends a query that needs more."""

BATCH = 1_000


def run_query(
    data_dir: Path,
    name_or_sql: str,
    values: Mapping[str, str] | None = None,
    *,
    dialect: str = "athena",
) -> tuple[list[str], Rows]:
    """Return the columns and rows of a named query, or of one SELECT in SQL.

    The query can read the views of `analytics.columns` and ``order_events_raw``, and change
    nothing. ``values`` are those of the named query's parameters.

    Raises
    ------
    QueryError
        The name is unknown, it is no single SELECT, or DuckDB rejects it.
    """
    sql = local_sql(name_or_sql, values or {}, dialect)
    with answering(data_dir / "bucket", sql) as (columns, batches):
        return columns, [row for batch in batches for row in batch]


def sql_of(name_or_sql: str, values: Mapping[str, str] | None = None) -> str:
    """Return the SQL of a named query with its parameters; a text of several words is SQL already.

    Raises
    ------
    QueryError
        No query has this name, or a parameter is unknown or invalid.
    """
    query, values = named(name_or_sql), values or {}
    if query is not None:
        return query.bound(values)
    if values:
        raise QueryError(f"--{next(iter(values))} is a parameter of named queries alone")
    return name_or_sql.strip()


def local_sql(name_or_sql: str, values: Mapping[str, str], dialect: str) -> str:
    """Return the SQL for DuckDB of a named query or of a SELECT in a dialect.

    Raises
    ------
    QueryError
        As `sql_of`, or the text is not one SELECT of the dialect.
    """
    sql = sql_of(name_or_sql, values)
    try:
        sql.encode()
    except UnicodeEncodeError:
        raise QueryError("the query is not text in UTF-8; correct its characters") from None
    return to_duckdb(sql) if dialect == "athena" or named(name_or_sql) else sql


@contextmanager
def answering(
    bucket: Path, sql: str, *, copy_to: Path | None = None
) -> Iterator[tuple[list[str], Iterator[Rows]]]:
    """Run one SELECT of DuckDB; give its columns and its rows in batches.

    With ``copy_to`` the answer is written to that Parquet file, and there are no rows.

    Raises
    ------
    QueryError
        It is no single SELECT, or DuckDB rejects it.
    """
    import duckdb

    try:
        statements = duckdb.extract_statements(sql)
        if len(statements) != 1 or statements[0].type is not duckdb.StatementType.SELECT:
            raise QueryError("a query must be one SELECT, which reads order_events")
        with connect(bucket, memory=MEMORY, writable=copy_to) as connection:
            if copy_to is not None:
                text = sql.strip().rstrip(";")
                target = str(copy_to).replace("'", "''")
                connection.execute(f"copy ({text}\n) to '{target}' (format parquet)")
                yield [], iter(())
                return
            columns = _execute(connection, sql)
            yield columns, _batches(connection)
    except duckdb.Error as error:
        raise _explained(str(error)) from None


def _execute(connection: "DuckDBPyConnection", sql: str) -> list[str]:
    """Run a query; return the names of its columns.

    Python's DuckDB reads times with a zone with pytz alone, so they become times in UTC.
    """
    text = sql.strip().rstrip(";")
    described = connection.execute(f"describe\n{text}").fetchall()
    names, types = [row[0] for row in described], [str(row[1]) for row in described]
    if any("TIME ZONE" in kind for kind in types):
        cells = ", ".join(_without_zone(f"c{at}", kind) for at, kind in enumerate(types))
        places = ", ".join(f"c{at}" for at in range(len(types)))
        text = f"select {cells} from ({text}\n) as answer({places})"
    connection.execute(text)
    return names


def _without_zone(name: str, kind: str) -> str:
    if "TIME ZONE" not in kind:
        return name
    return f"cast({name} as {kind.replace(' WITH TIME ZONE', '')})"


def _batches(connection: "DuckDBPyConnection") -> Iterator[Rows]:
    while batch := connection.fetchmany(BATCH):
        yield batch


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


def _explained(message: str) -> QueryError:
    """Return DuckDB's message as one line, with its excerpt of the query apart."""
    if message.startswith("Out of Memory"):
        return QueryError(
            f"the query needs more than its {MEMORY} of memory; select fewer rows, or group them"
        )
    text, _, excerpt = message.partition("\n\nLINE ")
    number, colon, line = excerpt.partition(": ")
    if number.isdigit():  # the line before is `describe`
        shift = len(number) - len(str(int(number) - 1))
        first, _, mark = line.partition("\n")
        excerpt = f"LINE {int(number) - 1}{colon}{first}\n{mark[shift:]}"
    return QueryError(" ".join(text.split()), excerpt=excerpt)
