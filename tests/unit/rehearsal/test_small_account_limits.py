"""The rehearsal in a small account: its faults, its limits and its exclusions."""

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.local.template.project import ROOT
from infra.local.workers.account import NEW_ACCOUNT, parse_limits
from tests.e2e.scenarios import SITUATIONS
from tests.fakes.completing import completing
from tests.rehearsal import __main__ as command
from tests.rehearsal import faulty_handler, ministack, small_account
from tests.rehearsal.template import PATIENCE, adapted, read

DOCUMENT = ROOT / "docs" / "aws.md"


class Ended(Exception):
    """The end of a call at its function's timeout."""


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds: list[float] = []

    def sleep(wanted: float) -> None:
        seconds.append(wanted)
        if wanted > 60:
            raise Ended

    monkeypatch.setattr(time, "sleep", sleep)
    return seconds


def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, timeouts: float) -> Path:
    """Install a handler that counts its calls; return the file with its faults."""
    (tmp_path / "counted.py").write_text(
        "calls = []\ndef handler(event, _):\n    calls.append(event)\n    return event\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("counted", None)
    log = tmp_path / "faults"
    faults = json.dumps({"cold": 6.0, "timeouts": timeouts, "log": str(log)})
    assert faulty_handler.install("counted.handler", faults) == f"{faulty_handler.__name__}.handler"
    return log


CONTEXT = SimpleNamespace(function_name="ValidateOrder", get_remaining_time_in_millis=lambda: 9_500)


def test_an_environment_begins_with_the_time_of_a_cold_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slept: list[float]
) -> None:
    log = installed(tmp_path, monkeypatch, 0.0)
    assert faulty_handler.handler(7, CONTEXT) == 7
    assert slept == [6.0]
    assert log.read_text() == "cold counted.handler\n"


def test_a_call_that_times_out_does_not_answer_and_half_of_them_have_acted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slept: list[float]
) -> None:
    log = installed(tmp_path, monkeypatch, 1.0)
    for number in range(200):
        with pytest.raises(Ended):
            faulty_handler.handler(number, CONTEXT)
    assert min(slept[1:]) > CONTEXT.get_remaining_time_in_millis() / 1000
    assert log.read_text().count("timed_out ValidateOrder") == 200
    assert 60 < len(sys.modules["counted"].calls) < 140


def test_the_limits_reach_ministack_and_the_functions(tmp_path: Path) -> None:
    limited: Any = vars(ministack)["_limited"]
    assert limited(tmp_path, None) == {}
    variables = limited(tmp_path, NEW_ACCOUNT)
    assert variables["LAMBDA_ACCOUNT_CONCURRENCY"] == "10"
    faults = json.loads(variables[ministack.FAULTS])
    assert (faults["cold"], faults["timeouts"]) == (6.0, 0.05)
    assert Path(faults["log"]).read_text() == ""


def test_the_functions_keep_the_templates_timeouts() -> None:
    template = read(ROOT / "template.yaml")
    definitions = {
        f"workflows/order_{name}.asl.yaml": name for name in ("processing", "recovery", "approval")
    }
    for patience in (PATIENCE, small_account.PACE.patience):
        body, _ = adapted(template, "package", definitions, patience)
        for name, resource in template["Resources"].items():
            if (
                resource["Type"] == "AWS::Serverless::Function"
                and "Timeout" in resource["Properties"]
            ):
                given = body["Resources"][name]["Properties"]["Timeout"]
                assert given == resource["Properties"]["Timeout"] * patience


def test_each_limit_has_the_fault_that_must_have_happened() -> None:
    expected: Any = vars(small_account)["_expected"]
    assert tuple(expected(NEW_ACCOUNT)) == small_account.FAULTS
    assert list(expected(parse_limits("cold=2"))) == ["cold"]


def test_the_document_lists_each_exclusion() -> None:
    text = " ".join(DOCUMENT.read_text(encoding="utf-8").split())
    for name in small_account.EXCLUDED:
        assert f"*{name}*" in text, name


def test_the_orders_of_the_profile_can_complete() -> None:
    orders = completing(50, 7)
    assert len({event["detail"]["order_id"] for _, event in orders.events}) == 50
    assert {event["detail-type"] for _, event in orders.events} == {"Order Created"}


def test_limits_and_situations_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    situation = next(iter(SITUATIONS))
    assert command.main(["--lambda-faults", "new-account", "--only", situation]) == 1
    assert "exclude each other" in capsys.readouterr().err
    assert command.main(["--lambda-faults", "quick"]) == 1
    assert "new-account" in capsys.readouterr().err
