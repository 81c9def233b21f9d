"""The workflow with mocked answers: the configuration of Step Functions Local, for any host.

A test case has the name of a situation in ``workflows/README.md``: ``CardDeclined`` is the first
run of *card declined*, and ``GatewayAwayForGoodThen`` the second run of *gateway away for good*.
Answers are keyed by the numbers of a state's calls, from 0: ``"0"`` or ``"1-3"``.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infra.asl import RunTask, TaskFailed, TaskSucceeded, compile_definition
from infra.asl.virtual import run_virtually
from infra.local.template.loader import ACCOUNT, REGION
from infra.local.template.project import ROOT
from tests.rehearsal.history import path

CONFIGURATION = ROOT / "workflows" / "order_processing.mocks.json"
DEFINITION = ROOT / "workflows" / "order_processing.asl.yaml"
TABLE = ROOT / "workflows" / "README.md"

MACHINE = "order_processing"
"""The state machine's name in the configuration."""

INPUT = {
    "source": "orders.service",
    "detail-type": "Order Created",
    "detail": {"order_id": "T-1", "total": 12.5},
}
"""The input of every run; the answers do not depend on it."""

_THEN = "Then"
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class UnexpectedCall(Exception):
    """A call of a state for which the test case has no answer."""


@dataclass(frozen=True, slots=True)
class TestCase:
    """A run with mocked answers, and its expected path of states."""

    __test__ = False  # no class of tests, despite its name

    name: str
    states: Mapping[str, str]
    expected: str


class Mocks:
    """A mock configuration."""

    def __init__(self, file: Path = CONFIGURATION) -> None:
        self.content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        self.responses: Mapping[str, Mapping[str, Any]] = self.content["MockedResponses"]

    def cases(self) -> list[TestCase]:
        """Return the test cases, each with its path in the scenario table."""
        expected = dict(_runs())
        cases = self.content["StateMachines"][MACHINE]["TestCases"]
        return [TestCase(name, states, expected[name]) for name, states in cases.items()]

    def answer(self, case: TestCase, state: str, call: int) -> Mapping[str, Any]:
        """Return the answer of a state's call: ``{"Return": …}`` or ``{"Throw": …}``.

        Raises
        ------
        UnexpectedCall
            The configuration has no answer for the call.
        """
        answers = self.responses.get(case.states.get(state, ""), {})
        for calls, answer in answers.items():
            first, _, last = calls.partition("-")
            if int(first) <= call <= int(last or first):
                typed: Mapping[str, Any] = answer
                return typed
        raise UnexpectedCall(f"{case.name}: there is no answer for call {call} of {state}")


def definition() -> dict[str, Any]:
    """Return the workflow with an ARN or URL for each resource that it calls."""
    text = DEFINITION.read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(_VARIABLE.sub(_reference, text))
    return content


def run(case: TestCase, mocks: Mocks) -> str:
    """Return a test case's path on the one-machine interpreter, with a virtual clock."""
    machine = compile_definition(definition(), name=MACHINE)
    calls: Counter[str] = Counter()

    def answer(task: RunTask) -> TaskSucceeded | TaskFailed:
        found = mocks.answer(case, task.state, calls[task.state])
        calls[task.state] += 1
        if "Throw" in found:
            return TaskFailed(task.token, found["Throw"]["Error"], found["Throw"].get("Cause"))
        return TaskSucceeded(task.token, found["Return"])

    context = {"Execution": {"Name": case.name, "Input": INPUT}, "StateMachine": {"Name": MACHINE}}
    done = run_virtually(machine, INPUT, context, answer, 0.0)
    return path(event.to_json() for event in done.history)


def _reference(match: re.Match[str]) -> str:
    name = match[1]
    if name.endswith("QueueUrl"):
        return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name.removesuffix('Url')}"
    service, kind = (
        ("states", "stateMachine") if name == "OrderRecoveryArn" else ("lambda", "function")
    )
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{kind}:{name.removesuffix('Arn')}"


def _runs() -> Iterator[tuple[str, str]]:
    """Yield the names of the test cases in the table, and their paths."""
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) > 1 and "ValidateOrder" in cells[1]:
            name = re.sub(r"[^A-Za-z0-9]+", " ", cells[0]).split()
            title = "".join(word[:1].upper() + word[1:].lower() for word in name)
            for number, cell in enumerate(cells[1].split("; then ")):
                yield title + _THEN * number, re.sub(r"^\d+ x ", "", cell)
