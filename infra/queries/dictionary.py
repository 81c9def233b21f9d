"""The data dictionary: a page of the analysts' tables, views and queries."""

from collections.abc import Sequence

from analytics.columns import DAY, ORDER_EVENTS, ORDER_LINES, ORDERS, RAW, Column
from infra.queries.pack import PARAMETERS, queries

_HEAD = """\
# Data dictionary

`make queries` generates this page from `services/analytics/columns.py` and `infra/queries/`.

Events are rows of Parquet files in `order_events/dt=YYYY-MM-DD/`, in the data directory's `bucket`
and in the stack's bucket. Three views read them, the same on one machine (DuckDB) and on AWS
(Athena). Count orders and money in `orders`: in `order_events` each event of an order repeats its
total.

- A day is the day of the first arrival in UTC, in every query and report. `placed_at` alone is the
  time that the customer's order states; `revenue_by_month`, `sku_by_month` and `customer_cohorts`
  use it.
- Only facts of the platform count. A fact that another sender stated is refused on AWS by the bus
  policy; one machine marks it (`origin` is `external`), and no view has it.
- Times are in UTC. In local files they have a zone; Firehose writes them as INT96, which has none.
- Older files have `lines` and `missing` as text. The local views read old and new files
  together.
"""


def dictionary() -> str:
    """Return the page in Markdown."""
    parts = [
        _HEAD,
        _table("Files, and the table `order_events_raw`: one row a delivery", (*RAW, DAY)),
        _table("View `order_events`: one row an event", ORDER_EVENTS),
        _table("View `orders`: one row an order", ORDERS),
        _table("View `order_lines`: one row a line", ORDER_LINES),
        _queries(),
        _parameters(),
    ]
    return "\n".join(parts)


def _table(title: str, columns: Sequence[Column]) -> str:
    rows = "".join(f"| `{name}` | {kind} | {meaning} |\n" for name, kind, meaning in columns)
    return f"## {title}\n\n| column | type | meaning |\n|---|---|---|\n{rows}"


def _queries() -> str:
    rows = "".join(
        f"| `{query.name}` | {query.title} | {_options(query.parameters)} |\n"
        for query in queries()
    )
    return f"""\
## Named queries

`orders query NAME` runs one here, and with `--stack` on Athena; the workgroup of the stack has them
with their defaults. All are written in Athena's SQL. Each is parsed as Athena's SQL and run on
DuckDB by a test. None was run on Athena itself.

| name | answers | parameters |
|---|---|---|
{rows}"""


def _options(names: Sequence[str]) -> str:
    return " ".join(f"`--{name}`" for name in names) or "-"


def _parameters() -> str:
    rows = "".join(
        f"| `--{name}` | {one.meaning} | `{one.default}` |\n" for name, one in PARAMETERS.items()
    )
    return f"## Parameters\n\n| parameter | meaning | default in SQL |\n|---|---|---|\n{rows}"
