"""The states of a definition as a graph: nodes, containers and edges, without positions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

EdgeKind: TypeAlias = Literal["next", "choice", "default", "catch"]


@dataclass(frozen=True)
class Edge:
    """A transition; ``label`` names the choice's test or the catcher's errors."""

    source: str
    target: str
    kind: EdgeKind
    label: str = ""


@dataclass
class Node:
    """A state; a Parallel or a Map has the graphs of its branches or of its item processor."""

    name: str
    kind: str
    is_end: bool = False
    comment: str = ""
    parts: list["Graph"] = field(default_factory=list)


@dataclass
class Graph:
    """The states of one level, in the order of the definition, and their edges."""

    start: str
    nodes: dict[str, Node]
    edges: list[Edge]


def graph_of(definition: Mapping[str, Any]) -> Graph:
    """Return the graph of a valid definition, of a branch or of an item processor."""
    states = definition["States"]
    nodes = {name: _node(name, state) for name, state in states.items()}
    edges = [edge for name, state in states.items() for edge in _edges(name, state)]
    return Graph(definition["StartAt"], nodes, edges)


def _node(name: str, state: Mapping[str, Any]) -> Node:
    inner = [*state.get("Branches", ())]
    processor = state.get("ItemProcessor", state.get("Iterator"))
    if processor is not None:
        inner.append(processor)
    is_end = bool(state.get("End")) or state["Type"] in ("Succeed", "Fail")
    parts = [graph_of(each) for each in inner]
    return Node(name, state["Type"], is_end, str(state.get("Comment", "")), parts)


def _edges(name: str, state: Mapping[str, Any]) -> Iterator[Edge]:
    if "Next" in state:
        yield Edge(name, state["Next"], "next")
    for choice in state.get("Choices", ()):
        yield Edge(name, choice["Next"], "choice", _test_of(choice))
    if "Default" in state:
        yield Edge(name, state["Default"], "default", "otherwise")
    for catcher in state.get("Catch", ()):
        yield Edge(name, catcher["Next"], "catch", ", ".join(map(str, catcher["ErrorEquals"])))


def _test_of(rule: Mapping[str, Any]) -> str:
    """Return a choice rule in one line."""
    if "Condition" in rule:
        return str(rule["Condition"]).removeprefix("{%").removesuffix("%}").strip()
    if "Not" in rule:
        return f"not ({_test_of(rule['Not'])})"
    for name in ("And", "Or"):
        if name in rule:
            return f" {name.lower()} ".join(f"({_test_of(each)})" for each in rule[name])
    tests = {key: value for key, value in rule.items() if key[0].isupper()}
    variable = tests.pop("Variable", "")
    for ignored in ("Next", "Assign", "Output", "Comment"):
        tests.pop(ignored, None)
    return " ".join(f"{variable} {name} {value}" for name, value in tests.items())
