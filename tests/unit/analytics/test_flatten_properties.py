"""The sink can store every valid event: each value fits its column's type."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.columns import AMOUNT, COLUMNS
from analytics.flatten import flatten
from infra.local.engine.parquet import write_parquet
from kernel.errors import InvalidEvent
from kernel.events import CONTRACTS, MAX_LINES, SOURCE, Detail, parse
from kernel.timestamps import moment
from tests.strategies import damaged, json_values
from tests.unit.kernel.test_events_properties import details

ARRIVED = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()
MOMENTS = st.sampled_from(
    [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "0001-01-01T13:59:59-10:00",
        "9999-12-31T23:59:59.999999999Z",
        "9999-12-31T23:59:59-14:00",
        "9999-12-31T23:59:60Z",
        "1969-12-31t23:59:59.9z",
        "2016-12-31T23:59:60Z",
        "2026-02-28T24:00:00Z",
        "1582-10-10T00:00:00Z",
    ]
) | st.datetimes().map(lambda at: at.isoformat() + "Z")
LARGEST = {
    "items": [{"sku": "x" * 64, "quantity": 1_000_000, "unit_price": 0.1}] * MAX_LINES,
    "total": 9_800_000,
}
"""The maximum units and text of an order."""

extremes = st.fixed_dictionaries(
    {},
    optional={
        "timestamp": MOMENTS,
        "order_id": st.text("aZ9._-", min_size=64, max_size=64),
        "metadata": st.fixed_dictionaries(
            {}, optional={"event_id": json_values, "schema_version": st.just("1.9999")}
        ),
        "missing": st.lists(
            st.fixed_dictionaries(
                {
                    "sku": st.just("TEA"),
                    "requested": st.integers(-(2**70), 2**70),
                    "available": st.integers(-(2**70), 2**70),
                }
            ),
            max_size=2,
        ),
    },
)


@st.composite
def events(draw: st.DrawFn, contract: type[Detail]) -> Mapping[str, Any]:
    """Return an event that keeps its contract, or nearly."""
    whole = details(contract)
    detail = draw(whole | damaged(whole))
    fields = contract.model_fields
    detail |= {name: value for name, value in draw(extremes).items() if name in fields}
    if "items" in fields and draw(st.integers(0, 4)) == 0:
        detail |= LARGEST | {"currency": "USD"}
    return {"source": SOURCE, "detail-type": contract.name, "detail": detail}


@pytest.mark.parametrize("name", CONTRACTS)
@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_each_valid_event_is_a_row_of_the_sinks_table(name: str, data: st.DataObject) -> None:
    rows, times = [], []
    for event in data.draw(st.lists(events(CONTRACTS[name]), min_size=1, max_size=8)):
        try:
            parsed = parse(event)
        except InvalidEvent:
            continue  # refused at the door, so the sink never gets it
        rows.append(flatten(event, ARRIVED))
        times.append(moment(parsed.detail.timestamp).replace(tzinfo=None))
    if not rows:
        return
    with TemporaryDirectory() as folder, duckdb.connect() as connection:
        file = Path(folder) / "rows.parquet"
        write_parquet([json.dumps(row).encode() for row in rows], COLUMNS, file)
        amounts = ", ".join(f"cast({name} as {AMOUNT}) as {name}" for name in ("total", "amount"))
        connection.execute("set TimeZone = 'UTC'")
        times_in_utc = ", ".join(
            f"cast({name} as timestamp) as {name}" for name in ("event_time", "arrived_at")
        )
        found = connection.execute(f"select * replace ({amounts}, {times_in_utc}) from '{file}'")
        names = [column[0] for column in found.description or ()]
        stored = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    for row, kept, at in zip(rows, stored, times, strict=True):
        shown = {key: value for key, value in kept.items() if value is not None}
        assert shown.keys() == row.keys()
        assert abs((kept["event_time"] - at).total_seconds()) < 0.001
        for key in ("event_id", "order_id", "lines", "missing", "units", "reason", "origin"):
            assert kept.get(key) == row.get(key)
        for key in ("total", "amount"):
            assert str(kept.get(key)) == str(row.get(key))
