"""``orders workflow`` and ``orders invoke``."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from infra.cli.main import app

ROOT = Path(__file__).parents[3]
WAITING = {
    "StartAt": "W",
    "States": {
        "W": {"Type": "Wait", "Seconds": 3600, "Next": "T"},
        "T": {
            "Type": "Task",
            "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f",
            "Retry": [{"ErrorEquals": ["Busy"], "IntervalSeconds": 60}],
            "End": True,
        },
    },
}


def orders(*words: str) -> Any:
    """Return the JSON of a command that succeeds."""
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.output.splitlines()[-1])


def written(folder: Path, name: str, value: object) -> str:
    path = folder / name
    path.write_text(json.dumps(value))
    return str(path)


def test_a_definition_runs_with_virtual_time_and_mocks(tmp_path: Path) -> None:
    flow, data = written(tmp_path, "flow.json", WAITING), written(tmp_path, "in.json", {"a": 1})
    mocks = {
        "StateMachines": {"flow": {"TestCases": {"Busy": {"T": "Second"}}}},
        "MockedResponses": {
            "Second": {"0": {"Throw": {"Error": "Busy", "Cause": ""}}, "1": {"Return": 5}}
        },
    }
    ran = orders(
        *("workflow", "run", flow, "--input", data),
        *("--mocks", written(tmp_path, "mocks.json", mocks)),
    )
    assert (ran["status"], ran["output"], ran["seconds"]) == ("SUCCEEDED", 5, 3660)
    assert ran["states"] == ["W", "T"]


@pytest.mark.parametrize(
    "words",
    [
        ("workflow", "run", "order_processing", "--input"),
        ("workflow", "test", "CheckInventory", "--input"),
        ("workflow", "test", "CheckInventory", "--input", "{}", "--context"),
        ("invoke", "any", "--event"),
    ],
)
def test_the_error_of_a_file_names_its_option(tmp_path: Path, words: tuple[str, ...]) -> None:
    empty, missing = written(tmp_path, "empty.json", {}), tmp_path / "none.json"
    words = tuple(empty if word == "{}" else word for word in words)
    result = CliRunner().invoke(app, [*words, str(missing), "--json"])
    assert f"{words[-1]}: {missing} cannot be read" in json.loads(result.output)["error"]["message"]


def test_mocks_may_be_given_by_state(tmp_path: Path) -> None:
    flow, data = written(tmp_path, "flow.json", WAITING), written(tmp_path, "in.json", {})
    mocks = written(tmp_path, "mocks.json", {"T": {"Return": {"b": 2}}})
    ran = orders("workflow", "run", flow, "--input", data, "--mocks", mocks)
    assert ran["output"] == {"b": 2}


@pytest.mark.parametrize("mocks", [{}, {"T": {"Throw": {"Error": "E"}}}])
def test_a_run_without_an_answer_names_the_state(tmp_path: Path, mocks: dict[str, Any]) -> None:
    flow, data = written(tmp_path, "flow.json", WAITING), written(tmp_path, "in.json", {})
    words = ["workflow", "run", flow, "--input", data]
    if mocks:
        ran = orders(*words, "--mocks", written(tmp_path, "mocks.json", mocks))
        assert (ran["status"], ran["failure"]["error"]) == ("FAILED", "E")
        return
    result = CliRunner().invoke(app, words)
    assert "the state T calls" in str(result.exception)


def test_each_test_case_of_the_projects_mocks_runs(tmp_path: Path) -> None:
    mocks = ROOT / "workflows" / "order_processing.mocks.json"
    data = written(tmp_path, "in.json", {"detail": {"order_id": "A-1"}})
    words = ("workflow", "run", "order_processing", "--input", data, "--mocks", str(mocks))
    ran = orders(*words, "--case", "CardDeclined")
    assert ran["states"][-1] == "OrderFailed"


def test_a_state_of_the_project_is_tested(tmp_path: Path) -> None:
    data = written(tmp_path, "in.json", {"order_id": "A-1", "epoch": 1})
    words = ("workflow", "test", "ProcessPayment", "--input", data)
    found = orders(*words, "--error", "PaymentDeclined")
    assert found["status"] == "CAUGHT_ERROR"
    assert found["failure"]["error"] == "PaymentDeclined"
    assert found["next_state"] == "Compensate"


@pytest.mark.parametrize(("kind", "start"), [("mermaid", "flowchart TD"), ("svg", "<svg ")])
def test_a_graph_is_printed(kind: str, start: str) -> None:
    result = CliRunner().invoke(app, ["workflow", "graph", "--format", kind])
    assert result.output.startswith(start)


def test_a_function_is_invoked_in_a_fresh_directory(tmp_path: Path) -> None:
    event = written(tmp_path, "event.json", {"order_id": "A-1", "epoch": 1})
    result = CliRunner().invoke(
        app, ["invoke", "CheckInventoryFunction", "--event", event, "--fresh", "--json"]
    )
    answer = json.loads(result.stdout.splitlines()[-1])
    assert answer["failure"]["errorType"] == "OrderNotFound"
    assert "OrderNotFound" in answer["error"]["message"]
    assert result.exit_code == 1
