"""Analytics on AWS have time to answer, and files of a useful size.

Sources: Amazon Data Firehose, "Buffering hints" (API reference, BufferingHints: at most 900 s and
128 MB; with format conversion at least 64 MB) and "Monitoring with CloudWatch metrics".
"""

import json
import re

import pytest

from analytics import report
from infra.local.template.loader import Template
from infra.local.template.project import TEMPLATE
from lambda_support.athena import PATIENCE
from orders.lost_events import SETTLED
from tests.contract.test_template import FUNCTIONS, of_type

COLD_START, REST = 10.0, 20.0
"""Seconds: Lambda's limit of an init, and rendering with all calls that are no query."""


def buffer(stage: str) -> dict[str, int]:
    """Return the buffering hints of a stage."""
    template = Template(TEMPLATE, {"Environment": stage}, lambda _, __: {})
    [(_, stream)] = template.of_type("AWS::KinesisFirehose::DeliveryStream")
    hints = stream["ExtendedS3DestinationConfiguration"]["BufferingHints"]
    resolved: dict[str, int] = template.resolve(hints, "")
    return resolved


def test_the_view_has_the_form_in_which_athena_stores_one() -> None:
    """Trino, `HiveViewReader` and `ViewReaderUtil`: the mark, then a definition in base64."""
    template = Template(TEMPLATE, {}, lambda *_: {"Ref": "orderflow_dev"})
    table = template.resources["OrderEventsView"]["Properties"]["TableInput"]
    assert (table["TableType"], table["Parameters"]["presto_view"]) == ("VIRTUAL_VIEW", "true")
    text, values = table["ViewOriginalText"]["Fn::Sub"]
    assert text == "/* Presto View: ${View} */"
    view = json.loads(template.resolve(values["View"]["Fn::Base64"], ""))
    assert (view["catalog"], view["schema"]) == ("awsdatacatalog", "orderflow_dev")
    assert view["originalSql"].rstrip().endswith("where delivery = 1")
    columns = table["StorageDescriptor"]["Columns"]
    assert [one["name"] for one in view["columns"]] == [one["Name"] for one in columns]
    known = {"string": "varchar", "timestamp": "timestamp(3)", "int": "integer"}
    for shown, stored in zip(view["columns"], columns, strict=True):
        elements = re.fullmatch(r"array<struct<(.*)>>", stored["Type"])
        if elements is None:
            assert shown["type"] == known.get(stored["Type"], stored["Type"])
            continue
        fields = [field.split(":") for field in elements[1].split(",")]
        row = ", ".join(f"{name} {known.get(kind, kind)}" for name, kind in fields)
        assert shown["type"] == f"array(row({row}))"


def test_the_report_gives_up_before_its_function_ends() -> None:
    queries = (report.FIRST_REPLAYED, report.FACTS, report.TOP_SKUS, report.HIGH_VALUE)
    longest = len(queries) * PATIENCE + COLD_START + REST
    assert longest <= FUNCTIONS["DailyReportFunction"]["Timeout"]


@pytest.mark.parametrize("stage", ["staging", "prod"])
def test_files_are_few_and_large(stage: str) -> None:
    assert buffer(stage)["SizeInMBs"] == 128
    assert 86_400 / buffer(stage)["IntervalInSeconds"] <= 300


@pytest.mark.parametrize("stage", ["dev", "staging", "prod"])
def test_the_search_and_the_alarm_allow_for_the_buffer(stage: str) -> None:
    interval = buffer(stage)["IntervalInSeconds"]
    assert 2 * interval <= SETTLED
    alarm = of_type("CloudWatch::Alarm")["DeliveryAgeAlarm"]
    assert alarm["MetricName"] == "DeliveryToS3.DataFreshness"
    assert 2 * interval < alarm["Threshold"]
