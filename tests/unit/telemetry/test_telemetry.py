"""Ids, history and metric values of an export, in this process."""

from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest

from infra.asl import HistoryEvent
from infra.telemetry import otlp
from infra.telemetry.checkpoint import Checkpoint
from infra.telemetry.history_spans import HistorySpans
from infra.telemetry.journal_metrics import advance, counters
from infra.telemetry.otlp import EndpointError
from infra.telemetry.spans import span_id_of, trace_id_of
from storage.sqlite.database import Database
from tests.trace_picture import in_lines, waterfall


def history(*events: tuple[int, str, dict[str, Any]]) -> list[HistoryEvent]:
    """Return events, each with its predecessor; its time is its number."""
    return [
        HistoryEvent(number, before, float(number), kind, details)
        for number, (before, kind, details) in enumerate(events, 1)
    ]


def test_each_attempt_is_a_span_and_an_aborted_branch_ends_with_its_parallel() -> None:
    spans = HistorySpans(("m", "n", 1), "root")
    spans.read(
        history(
            (0, "ExecutionStarted", {}),
            (1, "ParallelStateEntered", {"name": "Both"}),
            (2, "ParallelStateStarted", {}),
            (3, "TaskStateEntered", {"name": "A"}),
            (4, "TaskScheduled", {"resourceType": "lambda", "parameters": {"FunctionName": "F"}}),
            (3, "WaitStateEntered", {"name": "B"}),
            (5, "TaskFailed", {"error": "Busy"}),
            (7, "TaskScheduled", {"resourceType": "lambda", "parameters": {"FunctionName": "F"}}),
            (8, "TaskTimedOut", {}),
            (9, "ParallelStateFailed", {}),
            (10, "ParallelStateExited", {"name": "Both"}),
            (11, "PassStateEntered", {"name": "After"}),
        )
    )
    read = list(spans.spans("t", 99.0, {}))
    found = [(span.name, span.start, span.end, span.error) for span in read]
    assert found == [
        ("Both", 2.0, 11.0, None),
        ("A", 4.0, 11.0, None),
        ("F", 5.0, 7.0, "Busy"),
        ("B", 6.0, 11.0, None),
        ("F", 8.0, 9.0, "TimedOut"),
        ("After", 12.0, 99.0, None),
    ]
    parents = {span.span_id: span.name for span in read} | {"root": "root"}
    assert [parents[span.parent_id] for span in read] == ["root", "Both", "A", "Both", "A", "root"]


def test_ids_differ_for_different_subjects_and_have_the_lengths_of_w3c() -> None:
    assert span_id_of("a", "b|1:c") != span_id_of("a", "b", "c")
    assert len(span_id_of("a")) == 16
    assert len(trace_id_of("a\ud800")) == 32


def test_a_row_of_a_minute_counts_once_however_often_it_is_read(tmp_path: Path) -> None:
    from infra.local.directory.schema import JOURNAL

    database = Database(str(tmp_path / "d.db"))
    database.define(JOURNAL)
    database.define("create table orders (in_flight integer)")

    def add(minute: int, value: float, unit: str = "Count") -> None:
        with database.write() as connection:
            row = (minute, "Sales", "{}", unit, 1, value, value, value)
            connection.execute("insert into metrics values (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def total(state: Checkpoint) -> float:
        [metric] = counters(state, 200.0)
        return float(metric["sum"]["dataPoints"][0]["asDouble"])

    add(60, 2.0)
    first, over = advance(database, Checkpoint(since=60))
    assert total(first) == 2.0
    with database.write() as connection:
        connection.execute("update metrics set sum = 5")
    add(120, 1.0)
    second, over = advance(database, over)
    assert total(second) == 6.0
    again, over = advance(database, over)
    assert total(again) == 6.0
    assert over.minute == 120


def test_another_unit_is_a_histogram() -> None:
    state = Checkpoint(totals={'["Wait","{}","Milliseconds"]': [2, 7.0, 3.0, 4.0]})
    [metric] = counters(state, 100.0)
    [point] = metric["histogram"]["dataPoints"]
    assert (point["count"], point["sum"], point["min"], point["max"]) == ("2", 7.0, 3.0, 4.0)
    assert point["bucketCounts"] == ["2"]


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:4318", "file:///etc/passwd", "http://", "http://h:99999", "http://h/?a=b"],
)
def test_an_address_of_no_receiver_is_refused(url: str) -> None:
    with pytest.raises(EndpointError, match="write http://HOST:PORT"):
        otlp.check_endpoint(url)


def test_headers_come_from_the_variable_of_opentelemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x, a=b=c")
    assert otlp.headers() == {"authorization": "Bearer x", "a": "b=c"}
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "secret")
    with pytest.raises(EndpointError, match="without '='"):
        otlp.check_endpoint("http://h:4318")


def test_a_picture_has_each_span_below_its_parent_and_escapes_names() -> None:
    def span(number: str, parent: str, name: str, start: int, **others: Any) -> dict[str, Any]:
        times = {"startTimeUnixNano": str(start), "endTimeUnixNano": str(start + 1_000_000)}
        ids = {"traceId": "t", "spanId": number, "parentSpanId": parent}
        return {**ids, "name": name, "kind": 1, **times, **others}

    late = span("3", "1", "second", 3_000_000, status={"code": 2})
    spans = [span("1", "", "root", 0), span("2", "1", "<b>", 1_000_000), late]
    assert [(depth, one["name"]) for depth, one in in_lines(spans)] == [
        (0, "root"),
        (1, "<b>"),
        (1, "second"),
    ]
    drawn = fromstring(waterfall(spans))  # noqa: S314 - our own text
    texts = ["".join(one.itertext()) for one in drawn.iter() if one.tag.endswith("text")]
    assert {"root", "<b>", "second", "Trace t: 3 spans, 4.0 ms"} <= set(texts)
    with pytest.raises(AssertionError, match="its parent"):
        waterfall([span("2", "absent", "orphan", 0)])
