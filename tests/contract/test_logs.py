"""Metrics and errors pass each log level.

Source: AWS Lambda Developer Guide, "Log-level filtering": Lambda discards a line below
``ApplicationLogLevel``, and takes a line without a valid level or an RFC 3339 time for INFO.
"""

import json
import subprocess
import sys
from datetime import datetime
from typing import Any

import pytest

from infra.local.template.loader import Template
from infra.queries.athena import TEMPLATE

LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")
CALL = """
from types import SimpleNamespace
from lambda_support.observability import count, instrumented, logger

@instrumented
def handler(event, context):
    count("OrdersCompleted")
    logger().debug("seen")
    logger().warning("noticed")
    raise ValueError("unexpected")

try:
    handler({}, SimpleNamespace(function_name="f", aws_request_id="r"))
except ValueError:
    pass
"""


def of_functions(level: str, field: str) -> Any:
    attributes = {"Ref": "x", "Arn": "arn:x"}
    template = Template(TEMPLATE, {"LogLevel": level}, lambda *_: attributes)
    return template.resolve(template.globals["Function"][field], field)


def lines(level: str) -> list[dict[str, Any]]:
    """Return the lines that a function with this parameter writes."""
    variables = of_functions(level, "Environment")["Variables"]
    names = ("POWERTOOLS_LOG_LEVEL", "POWERTOOLS_METRICS_NAMESPACE")
    environment = {name: str(variables[name]) for name in names}
    environment["POWERTOOLS_SERVICE_NAME"] = "orders"
    environment["AWS_LAMBDA_LOG_LEVEL"] = passed_from(level)
    done = subprocess.run(
        [sys.executable, "-c", CALL],
        env=environment | {"PYTHONPATH": str(TEMPLATE.parent / "services")},
        check=True,
        capture_output=True,
        text=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def passed_from(level: str) -> str:
    written: str = of_functions(level, "LoggingConfig")["ApplicationLogLevel"]
    return written


def seen(line: dict[str, Any]) -> str:
    """Return the level at which Lambda takes a line."""
    try:
        is_timed = datetime.fromisoformat(line["timestamp"]).tzinfo is not None
        is_timed = is_timed and "T" in line["timestamp"] and line["timestamp"][-3] == ":"
    except (KeyError, TypeError, ValueError):
        is_timed = False
    level = str(line.get("level", "")).replace("WARNING", "WARN")
    return level if is_timed and level in LEVELS else "INFO"


@pytest.mark.parametrize("level", LEVELS)
def test_metrics_and_errors_pass_every_level(level: str) -> None:
    least = LEVELS.index(passed_from(level))
    kept = [line for line in lines(level) if LEVELS.index(seen(line)) >= least]
    assert [line["OrdersCompleted"] for line in kept if "_aws" in line] == [[1.0]]
    errors = [line for line in kept if line.get("level") == "ERROR"]
    assert [line["exception_name"] for line in errors] == ["ValueError"]
    assert seen(errors[0]) == "ERROR"


@pytest.mark.parametrize(
    ("level", "messages"),
    [
        ("DEBUG", ["seen", "noticed", "unexpected error"]),
        ("INFO", ["noticed", "unexpected error"]),
        ("WARN", ["noticed", "unexpected error"]),
        ("ERROR", ["unexpected error"]),
    ],
)
def test_a_level_leaves_out_the_lines_below_it(level: str, messages: list[str]) -> None:
    least = LEVELS.index(passed_from(level))
    kept = [line for line in lines(level) if LEVELS.index(seen(line)) >= least]
    assert [line["message"] for line in kept if "message" in line] == messages


def test_each_line_names_its_function_and_its_request() -> None:
    named = [line for line in lines("DEBUG") if "message" in line]
    assert named
    assert {(line["function"], line["request_id"]) for line in named} == {("f", "r")}
