"""Metrics of an invocation: the documents are those of Powertools, in a tenth of the time."""

import json
from typing import Any

import pytest
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from lambda_support.embedded_metrics import MAX_VALUES, EmbeddedMetrics


def documents(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return the printed documents, without their times."""
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for document in found:
        assert isinstance(document["_aws"].pop("Timestamp"), int)
    return found


def test_a_document_is_that_of_powertools(capsys: pytest.CaptureFixture[str]) -> None:
    theirs = Metrics(namespace="Orderflow", service="orders")
    theirs.add_metric("OrdersCompleted", MetricUnit.Count, 1)
    theirs.add_metric("TimeToComplete", MetricUnit.Seconds, 1.5)
    theirs.add_metric("TimeToComplete", MetricUnit.Seconds, 2.5)
    theirs.add_metadata("failed_messages", {"m-1": "MailError: é"})
    theirs.flush_metrics()
    ours = EmbeddedMetrics("Orderflow", {"service": "orders"})
    ours.add("OrdersCompleted", "Count", 1)
    ours.add("TimeToComplete", "Seconds", 1.5)
    ours.add("TimeToComplete", "Seconds", 2.5)
    ours.add_member("failed_messages", {"m-1": "MailError: é"})
    ours.flush()
    expected, found = documents(capsys)
    assert found == expected


def test_nothing_is_printed_without_a_metric(capsys: pytest.CaptureFixture[str]) -> None:
    ours = EmbeddedMetrics("Orderflow", {"service": "orders"})
    ours.flush()
    ours.add("OrdersCompleted", "Count", 1)
    ours.flush()
    ours.flush()
    assert len(documents(capsys)) == 1


def test_no_metric_of_a_document_has_more_than_a_hundred_values(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ours = EmbeddedMetrics("Orderflow", {"service": "orders"})
    for number in range(250):
        ours.add("TimeToComplete", "Seconds", number)
    ours.flush()
    values = [document["TimeToComplete"] for document in documents(capsys)]
    assert [len(each) for each in values] == [MAX_VALUES, MAX_VALUES, 50]
    assert [value for each in values for value in each] == [float(at) for at in range(250)]


def test_no_document_has_more_than_a_hundred_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    ours = EmbeddedMetrics("Orderflow", {"service": "orders"})
    for number in range(150):
        ours.add(f"M{number}", "Count", 1)
    ours.flush()
    groups = [document["_aws"]["CloudWatchMetrics"] for document in documents(capsys)]
    assert [len(group["Metrics"]) for [group] in groups] == [MAX_VALUES, 50]


def test_a_member_may_have_text_that_utf_8_cannot_encode(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ours = EmbeddedMetrics("Orderflow", {"service": "orders"})
    ours.add("MessagesFailed", "Count", 1)
    ours.add_member("failed_messages", {"m-1": "\ud800"})
    ours.flush()
    [document] = documents(capsys)
    assert document["failed_messages"] == {"m-1": "\ud800"}
