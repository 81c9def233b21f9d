"""The workflow's states as a handler meets them: what each sends, selects, retries and catches."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / "workflows"


@dataclass(frozen=True)
class Task:
    """A state of order_processing that calls a function."""

    name: str
    state: Mapping[str, Any]
    branch: bool
    """Whether it is one of a Parallel's, so that its answer is the branch's."""

    def call(self, data: Mapping[str, Any], run: str, context: Any) -> Any:
        """Call the handler with what the state sends, given the workflow's data."""
        return import_module(self._module).handler(self.payload(data, run), context)

    def payload(self, data: Mapping[str, Any], run: str) -> dict[str, Any]:
        """Return what the state sends to its function."""
        sent = self.state["Parameters"]["Payload"]
        return {key.removesuffix(".$"): _value(path, data, run) for key, path in sent.items()}

    @property
    def selected(self) -> set[str]:
        """The fields of the function's answer that the state selects."""
        selector = self.state.get("ResultSelector", {})
        return {path.removeprefix("$.Payload.") for path in selector.values()}

    def retries(self, error: str) -> int:
        """Return how often the state tries again after this error."""
        found = (one for one in self.state["Retry"] if error in one["ErrorEquals"])
        return next((int(one["MaxAttempts"]) for one in found), 0)

    def after(self, error: str) -> str:
        """Return the state that this error leads to."""
        return next(
            str(catch["Next"])
            for catch in self.state["Catch"]
            if {error, "States.ALL"} & set(catch["ErrorEquals"])
        )

    @property
    def _module(self) -> str:
        arn = self.state["Parameters"]["FunctionName"]
        logical_id = arn.removeprefix("${").removesuffix("Arn}")
        handler: str = template()["Resources"][logical_id]["Properties"]["Handler"]
        return handler.removesuffix(".handler")


@cache
def tasks() -> dict[str, Task]:
    """Return the states of order_processing that call a function, by name."""
    definition = yaml.safe_load((WORKFLOWS / "order_processing.asl.yaml").read_text())
    return {
        name: Task(name, state, name not in definition["States"])
        for name, state in states(definition)
        if state.get("Resource", "").endswith("lambda:invoke")
    }


def states(machine: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Return every state of a machine, those of its branches too."""
    for name, state in machine["States"].items():
        yield name, state
        for branch in state.get("Branches", []):
            yield from states(branch)


@cache
def template() -> Any:
    """Return the template; what its tags refer to is left as it is written."""

    class Loader(yaml.SafeLoader):
        pass

    def written(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
        return getattr(node, "value", None)

    Loader.add_multi_constructor("!", written)
    return yaml.load((ROOT / "template.yaml").read_text(), Loader)  # noqa: S506 - a SafeLoader


def _value(path: str, data: Mapping[str, Any], run: str) -> Any:
    if path == "$$.Execution.Name":
        return run
    found: Any = data
    for step in path.split(".")[1:]:
        found = found[step]
    return found
