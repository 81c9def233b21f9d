"""The query pack: the named queries of this folder, in Athena's SQL, and their parameters.

A file begins with its title and its chart as comments. ``:name`` is a parameter of `PARAMETERS`; a
query without a value of the user gets the default.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from infra.errors import Refusal
from lambda_support.athena import quoted

QUERIES = Path(__file__).parent

MAX_LIMIT = 1_000_000

_MARK = re.compile(r"(?<![:\w]):([a-z]+)\b")


class QueryError(Refusal, ValueError):
    """A query is invalid, or failed; ``excerpt`` is its erroneous line, with a mark below it."""

    def __init__(self, message: str, *, excerpt: str = "") -> None:
        super().__init__(message)
        self.excerpt = excerpt


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of queries: the kind of its value, its default in SQL, and its meaning."""

    kind: str
    default: str
    meaning: str

    def literal(self, name: str, value: str) -> str:
        """Return a value as SQL, or raise `QueryError`."""
        if self.kind == "text":
            return quoted(value)
        try:
            if self.kind == "day":
                return f"date '{date.fromisoformat(value)}'"
            if 1 <= int(value) <= MAX_LIMIT:
                return str(int(value))
        except ValueError:
            pass
        example = "a day such as 2026-01-31" if self.kind == "day" else f"1 to {MAX_LIMIT}"
        raise QueryError(f"--{name} {value!r} is not valid; send {example}")


PARAMETERS = {
    "day": Parameter("day", "current_date", "A day in UTC; the default is today."),
    "since": Parameter("day", "date '1970-01-01'", "The first day, in UTC."),
    "until": Parameter("day", "date '9999-12-31'", "The last day, in UTC."),
    "currency": Parameter("text", "'%'", "A currency, such as EUR."),
    "sku": Parameter("text", "'%'", "A SKU, or a pattern of LIKE such as TEA-%."),
    "customer": Parameter("text", "'%'", "A customer's id, or a pattern of LIKE."),
    "order": Parameter("text", "'%'", "An order's id, or a pattern of LIKE."),
    "country": Parameter("text", "'%'", "A country, as in the addresses."),
    "limit": Parameter("number", "20", "The maximum number of rows."),
}


@dataclass(frozen=True, slots=True)
class Query:
    """A named query in Athena's SQL, with the kind of its chart."""

    name: str
    title: str
    chart: str
    sql: str

    @property
    def parameters(self) -> list[str]:
        """The names of its parameters."""
        return list(dict.fromkeys(_MARK.findall(self.sql)))

    def bound(self, values: Mapping[str, str]) -> str:
        """Return the SQL with these values, and with defaults for the others.

        Raises
        ------
        QueryError
            The query has no such parameter, or a value is not of its kind.
        """
        foreign = [name for name in values if name not in self.parameters]
        if foreign:
            known = ", ".join(f"--{name}" for name in self.parameters) or "none"
            raise QueryError(
                f"the query {self.name} has no parameter --{foreign[0]}; it has: {known}"
            )
        literals = {
            name: PARAMETERS[name].literal(name, values[name])
            if name in values
            else PARAMETERS[name].default
            for name in self.parameters
        }
        return _MARK.sub(lambda mark: literals[mark[1]], self.sql)


def queries() -> list[Query]:
    """Return the named queries, by name."""
    return [_query(path) for path in sorted(QUERIES.glob("*.sql"))]


def named(text: str) -> Query | None:
    """Return the query of a name, with hyphens or underscores, or None for SQL.

    Raises
    ------
    QueryError
        The text is one word, and no query has this name.
    """
    pack = {query.name: query for query in queries()}
    name = text.strip().replace("-", "_")
    if name in pack:
        return pack[name]
    if not name or re.fullmatch(r"[\w.]+", name):
        raise QueryError(f"no query is named {text.strip()!r}; there are: {', '.join(pack)}")
    return None


def _query(path: Path) -> Query:
    sql = path.read_text(encoding="utf-8")
    title, chart, _ = sql.split("\n", 2)
    return Query(path.stem, title.removeprefix("-- "), chart.removeprefix("-- chart: "), sql)
