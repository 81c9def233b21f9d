"""The view ``order_events``, and its select over the files of some days."""

from pathlib import Path

VIEW = Path(__file__).with_name("order_events.sql").read_text(encoding="utf-8")
"""The select of the view ``order_events``, for DuckDB and Athena alike."""

_RAW = "from order_events_raw\n"

EVENTS_OF_A_DAY = f"""\
{VIEW.replace(_RAW, f"{_RAW}    where dt between ? and ?{chr(10)}")}\
and cast(arrived_at as date) = cast(? as date)
"""
"""The events that first arrived on a day: the view's select, over the files of some days.

Its parameters are the first and last day of the files, and the day. Trino does not push a predicate
below a window unless the window is partitioned by the predicate's columns (trinodb/trino,
`PredicatePushDown.visitWindow`), so ``where dt = ?`` on the view reads every file. Here the
condition is below the window, and partition projection excludes the other days' files.
"""
