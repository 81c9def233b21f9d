"""A workflow of the project, or of a file: its definition, its runs and the test of one state."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.asl import RunTask, TaskFailed, TaskSucceeded, compile_definition
from infra.asl.virtual import VirtualRun, run_virtually
from infra.errors import Refusal
from infra.local.template.loader import ACCOUNT, REGION, read_yaml
from infra.local.template.task_parameters import PARAMETERS
from kernel import clock
from kernel.clock import timestamp

WORKFLOWS = Path(__file__).parents[2] / "workflows"


class WorkflowError(Refusal):
    """A workflow, a state or a mock cannot be found or read."""


def definition_of(reference: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the definition of a workflow: a file, or a name in ``workflows/``."""
    known = WORKFLOWS / f"{reference}.asl.yaml"
    path = Path(reference) if Path(reference).is_file() else known
    if not path.is_file():
        names = ", ".join(sorted(each.name.split(".")[0] for each in WORKFLOWS.glob("*.asl.*")))
        raise WorkflowError(f"{reference} is neither a file nor a workflow; these are: {names}")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WorkflowError(f"{path} cannot be read: {error}") from None
    definition = read_yaml(text, str(path))  # JSON is YAML too
    if not isinstance(definition, dict):
        raise WorkflowError(f"{path} is not a state machine definition")
    return path.name.split(".")[0], definition


def states_in(definition: Mapping[str, Any], language: str = "") -> Iterator[tuple[str, Any, str]]:
    """Yield each state with its name and query language, those of branches and processors too."""
    language = language or str(definition.get("QueryLanguage", "JSONPath"))
    states = definition.get("States")
    for name, state in states.items() if isinstance(states, Mapping) else ():
        yield name, state, language
        if isinstance(state, Mapping):
            inner = [*state.get("Branches", ())]
            inner += [state[key] for key in ("ItemProcessor", "Iterator") if key in state]
            for part in inner:
                yield from states_in(part, language)


def state_in(definition: Mapping[str, Any], name: str) -> tuple[Any, str]:
    """Return a state and its query language; raise WorkflowError for an unknown name."""
    found = {each: (state, language) for each, state, language in states_in(definition)}
    if name not in found:
        raise WorkflowError(f"there is no state {name}; the states are: {', '.join(found)}")
    return found[name]


class Mocks:
    """The answers of one test case, as Step Functions Local has them.

    A file is its whole configuration (``StateMachines`` and ``MockedResponses``), or an object with
    the answer of each state: ``{"Pay": {"Return": {"Payload": 1}}}``.
    """

    def __init__(self, content: Any, machine: str, case: str | None) -> None:
        if not isinstance(content, dict):
            raise WorkflowError("the mocks are not a JSON object")
        self._calls: Counter[str] = Counter()
        if "StateMachines" not in content:
            self._answers = {state: {"0-": answer} for state, answer in content.items()}
            return
        cases = content["StateMachines"].get(machine, {}).get("TestCases", {})
        if case is None and len(cases) == 1:
            case = next(iter(cases))
        if case not in cases:
            known = ", ".join(cases) or f"none for {machine}"
            raise WorkflowError(f"name a test case with --case; these are: {known}")
        responses = content.get("MockedResponses", {})
        self._answers = {state: responses[name] for state, name in cases[case].items()}

    def __call__(self, task: RunTask) -> TaskSucceeded | TaskFailed:
        """Return the next answer of a state; raise WorkflowError if there is none."""
        call = self._calls[task.state]
        self._calls[task.state] += 1
        for calls, answer in self._answers.get(task.state, {}).items():
            first, dash, last = calls.partition("-")
            if int(first) <= call and (call <= int(last or first) or (dash and not last)):
                if "Throw" in answer:
                    thrown = answer["Throw"]
                    return TaskFailed(task.token, thrown["Error"], thrown.get("Cause", ""))
                return TaskSucceeded(task.token, answer.get("Return"))
        raise WorkflowError(
            f"the mocks have no answer for call {call} of {task.state}: add its Return or Throw"
        )


def run(name: str, definition: Mapping[str, Any], data: Any, mocks: Mocks | None) -> VirtualRun:
    """Run a workflow with virtual time; raise DefinitionError or WorkflowError."""
    machine = compile_definition(definition, name=name, integrations=PARAMETERS)
    start = clock.now()
    base = f"arn:aws:states:{REGION}:{ACCOUNT}"
    context = {
        "Execution": {
            "Id": f"{base}:execution:{name}:run",
            "Input": data,
            "Name": "run",
            "RedriveCount": 0,
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/{name}",
            "StartTime": timestamp(start),
        },
        "StateMachine": {"Id": f"{base}:stateMachine:{name}", "Name": name},
    }
    return run_virtually(machine, data, context, mocks or _refuse, start)


def _refuse(task: RunTask) -> TaskSucceeded:
    call = json.dumps(task.parameters)
    shown = call if len(call) <= 200 else f"{call[:199]}…"  # noqa: PLR2004 - two lines
    raise WorkflowError(
        f"the state {task.state} calls {task.resource} with {shown}: give its answer with --mocks"
    )
