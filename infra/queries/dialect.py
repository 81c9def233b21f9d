"""Translate Athena's SQL into DuckDB's, with sqlglot, which is imported when it is needed."""

from infra.queries.pack import QueryError


def to_duckdb(sql: str) -> str:
    """Return one SELECT of Athena's dialect in DuckDB's.

    Trino's UNNEST of an array of rows makes a column of each field; DuckDB's does with
    ``recursive``.

    Raises
    ------
    QueryError
        The text is not one statement of Athena's SQL; the message has a mark below the error.
    """
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        statements = [tree for tree in sqlglot.parse(sql, read="athena") if tree is not None]
    except SqlglotError as error:
        raise _explained(error, sql) from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise QueryError("a query must be one SELECT, which reads order_events")
    tree = statements[0]
    for unnest in list(tree.find_all(exp.Unnest)):
        alias = unnest.args.get("alias")
        if alias is None or len(alias.columns) < 2 or len(unnest.expressions) != 1:  # noqa: PLR2004
            continue
        source = unnest.expressions[0].sql(dialect="duckdb")
        inner = sqlglot.parse_one(f"select unnest({source}, recursive := true)", read="duckdb")
        unnest.replace(exp.Lateral(this=exp.Subquery(this=inner), alias=alias.copy()))
    return tree.sql(dialect="duckdb", unsupported_level=sqlglot.ErrorLevel.IGNORE)


def _explained(error: Exception, sql: str) -> QueryError:
    """Return the parser's message with the line of the error and a mark below it."""
    details = getattr(error, "errors", None)
    if not details:
        return QueryError(f"the query is not SQL of Athena: {' '.join(str(error).split())}")
    first = details[0]
    line = sql.split("\n")[first["line"] - 1]
    mark = " " * max(first["col"] - len(first["highlight"] or ""), 0) + "^"
    where = f"line {first['line']}, column {first['col']}"
    message = f"the query is not SQL of Athena: {first['description']} ({where})"
    return QueryError(message, excerpt=f"{line}\n{mark}")
