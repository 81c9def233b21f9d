"""Traces and metrics of orders that the shipped workflow has processed, in this process."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import kernel.clock
from infra.local.directory.data_directory import DataDirectory
from infra.telemetry import otlp
from infra.telemetry.checkpoint import Checkpoint, load, prepare, present
from infra.telemetry.journal_metrics import gauges
from infra.telemetry.reader import Reader
from infra.telemetry.spans import Span, trace_id_of
from tests.faults.scene import Scene, forget
from tests.host import Host, event, order


@pytest.fixture(autouse=True)
def _process() -> Iterator[None]:
    """Give each test the memory and the environment of a new process."""
    forget()
    environment = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(environment)
    kernel.clock.shift(0.0)
    forget()


@contextmanager
def processed(folder: Path, *events: dict[str, Any]) -> Iterator[tuple[Host, Reader]]:
    """Open a platform that has processed events, and a reader of its directory."""
    with Scene(folder).open() as here:
        here.receive(TEA=5)
        if events:
            here.put(*events)
        here.settle()
        reader = Reader(here.directory)
        try:
            yield here, reader
        finally:
            reader.close()


def named(spans: list[Span]) -> dict[str, Span]:
    return {span.name: span for span in spans}


def test_one_order_is_one_trace_from_put_events_to_mail(tmp_path: Path) -> None:
    with processed(tmp_path, order()) as (_, reader):
        spans = reader.after(Checkpoint()).spans
    assert {span.trace_id for span in spans} == {trace_id_of("T-1")}
    ids = {span.span_id for span in spans}
    assert len(ids) == len(spans)
    [root] = [span for span in spans if span.parent_id == ""]
    assert root.name == "PutEvents Order Created"
    assert all(span.parent_id in ids for span in spans if span is not root)
    assert all(span.start <= span.end for span in spans)
    assert {span.attributes["orderflow.order_id"] for span in spans} == {"T-1"}


def test_each_span_is_below_its_cause(tmp_path: Path) -> None:
    with processed(tmp_path, order()) as (_, reader):
        spans = reader.after(Checkpoint()).spans
    by_id, by_name = {span.span_id: span for span in spans}, named(spans)

    def path(name: str) -> list[str]:
        span, names = by_name[name], []
        while span.parent_id:
            span = by_id[span.parent_id]
            names.append(span.name)
        return names

    run = ["orderflow-order-processing", "deliver Order Created", "PutEvents Order Created"]
    assert path("ProcessPaymentFunction") == ["ProcessPayment", *run]
    assert path("CreateShipmentFunction") == ["CreateShipment", "ParallelFulfillment", *run]
    queue = "sendMessage ConfirmationsQueue"
    assert path("send mail") == [queue, "SendConfirmation", "ParallelFulfillment", *run]
    assert path("outbox Order Completed") == ["PutEvents Order Created"]
    timeline = [moment.name for moment in by_name["orderflow-order-processing"].moments]
    assert timeline[0] == "RECEIVED"
    assert timeline[-1] == "COMPLETED"


def test_every_state_and_every_call_of_the_history_has_its_span(tmp_path: Path) -> None:
    with processed(tmp_path, order()) as (here, reader):
        spans = [span.name for span in reader.after(Checkpoint()).spans]
        [path] = here.paths()
    for state in path.replace("(", " ").replace(")", " ").replace(";", " ").split(" → "):
        for name in state.split():
            assert name == "→" or spans.count(name) == 1, name


def test_a_second_reading_has_the_same_spans(tmp_path: Path) -> None:
    with processed(tmp_path, order(), order("T-2", total=25.0)) as (_, reader):
        assert reader.after(Checkpoint()).spans == reader.after(Checkpoint()).spans


def test_only_later_rows_follow_a_checkpoint(tmp_path: Path) -> None:
    with processed(tmp_path, order()) as (here, reader):
        first = reader.after(Checkpoint())
        assert reader.after(first.checkpoint).spans == []
        here.put(order("T-2"))
        here.settle()
        later = reader.after(first.checkpoint).spans
    assert {span.trace_id for span in later} == {trace_id_of("T-2")}
    assert "send mail" in named(later)


def test_an_execution_that_runs_is_exported_once_it_has_ended(tmp_path: Path) -> None:
    with processed(tmp_path) as (here, reader):
        here.put(order())
        here.engine.turn(0)
        begun = reader.after(Checkpoint())
        assert "PutEvents Order Created" in named(begun.spans)
        assert "orderflow-order-processing" not in named(begun.spans)
        assert begun.checkpoint.running
        here.settle()
        rest = reader.after(begun.checkpoint)
    assert "orderflow-order-processing" in named(rest.spans)
    assert not rest.checkpoint.running


def test_an_error_is_named_and_its_message_stays_here(tmp_path: Path) -> None:
    with processed(tmp_path, order(), order()) as (_, reader):
        spans = reader.after(Checkpoint()).spans
    [failed] = [span for span in spans if span.error]
    assert (failed.name, failed.error) == ("ValidateOrderFunction", "DuplicateOrder")
    text = json.dumps(otlp.traces(spans, {}))
    assert all(secret not in text for secret in ("ada@example.com", "Mill Lane", "is held by"))


def test_a_cancellation_belongs_to_the_trace_of_its_order(tmp_path: Path) -> None:
    late = event("Order Cancelled", reason="late")
    with processed(tmp_path, order(items=[{"sku": "NONE", "quantity": 1, "unit_price": 12.5}])) as (
        here,
        reader,
    ):
        here.put(late)
        here.settle()
        spans = named(reader.after(Checkpoint()).spans)
    assert spans["PutEvents Order Cancelled"].parent_id == spans["PutEvents Order Created"].span_id


def test_an_unreadable_row_does_not_block_the_others(tmp_path: Path) -> None:
    with processed(tmp_path, order(), order("T-2")) as (here, reader):
        with here.database.write() as connection:
            connection.execute("update history set piece = x'00' where execution_id = 1")
        changes = reader.after(Checkpoint())
    assert "orderflow-order-processing" in named(changes.spans)
    assert len(changes.problems) == 2, "the execution, and the mail that it queued"
    assert changes.checkpoint.execution == 2


def test_a_gauge_without_rows_returns_to_zero(tmp_path: Path) -> None:
    reported: dict[str, set[str]] = {}
    with processed(tmp_path) as (here, reader):

        def queued() -> list[str]:
            return [
                point["asInt"]
                for metric in gauges(reader.database, 1.0, reported)
                if metric["name"] == "orderflow.queue.messages"
                for point in metric["gauge"]["dataPoints"]
            ]

        insert = "insert into messages values (1, 'Q', '', 0, 0, 0, '{}')"
        with here.database.write() as connection:
            connection.execute(insert)
        assert queued() == ["1"]
        with here.database.write() as connection:
            connection.execute("delete from messages")
        assert queued() == ["0"]


def test_a_checkpoint_ahead_of_the_journal_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "otlp.checkpoint"
    with Scene(tmp_path / "d").open() as here:
        where: DataDirectory = here.directory
        Checkpoint(event=99).save(path)
        prepare(path, here.database, where.sandbox, 120.5)
        assert load(path) == present(here.database, where.sandbox, 120.5)
        path.write_text("{")
        assert load(path) is None
