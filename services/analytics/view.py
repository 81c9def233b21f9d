"""The analysts' views in Athena's SQL, their form for DuckDB, and the events of one day."""

import re
from pathlib import Path

from analytics.columns import VIEWS

VIEW_SQL = {
    name: Path(__file__).with_name(f"{name}.sql").read_text(encoding="utf-8") for name in VIEWS
}
"""The select of each view."""

VIEW = VIEW_SQL["order_events"]
"""The select of the view ``order_events``."""

_WHERE = "    where coalesce(origin"

EVENTS_OF_A_DAY = f"""\
{VIEW.replace(_WHERE, f"    where dt between ? and ?{chr(10)}    and coalesce(origin")}\
and cast(arrived_at as date) = cast(? as date)
"""
"""The events that first arrived on a day: the view's select, over the files of some days.

Its parameters are the first and last day of the files, and the day. Trino does not push a predicate
below a window unless the window is partitioned by the predicate's columns (trinodb/trino,
`PredicatePushDown.visitWindow`), so ``where dt = ?`` on the view reads every file. Here the
condition is below the window, and partition projection excludes the other days' files.
"""

_UNNEST = re.compile(r"cross join unnest\(([\w.]+)\) as (\w+\(\w+(?:, \w+)+\))")


def for_duckdb(sql: str) -> str:
    """Return SQL of this package for DuckDB.

    Trino's UNNEST makes a column of each field of a row; DuckDB's does so with ``recursive``.
    """
    return _UNNEST.sub(r"cross join lateral (select unnest(\1, recursive := true)) as \2", sql)
