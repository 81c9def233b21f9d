"""The senders and the readers of each event, from the services' code and the template's rules."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from infra.contracts.sample_orders import examples
from infra.local.stack_loader import shipped
from infra.local.template.project import ROOT
from infra.local.template.stack import Stack, Target
from kernel.events import CONTRACTS, REQUESTS

SERVICES = ROOT / "services"

UPSTREAM = "upstream, by PutEvents"
"""The sender of a request."""

_NO_SENDERS = frozenset({"isinstance", "cast"})
"""Calls with a contract's class that make no event of it."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader of an event: the rule, its target, and the function behind a queue, if any."""

    rule: str
    target: str
    function: str | None

    def __str__(self) -> str:
        return self.function or self.target


@dataclass(frozen=True, slots=True)
class Participants:
    """The senders and readers of an event's version; ``senders`` are services, or upstream."""

    version: str
    senders: tuple[str, ...]
    readers: tuple[Reader, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the participants for ``participants.json``."""
        return asdict(self)


@cache
def participants() -> Mapping[str, Participants]:
    """Return the participants of each event, by detail type."""
    stack = shipped()
    senders = _senders()
    return {
        name: Participants(
            contract.version,
            tuple(([UPSTREAM] if name in REQUESTS else []) + senders.get(contract.__name__, [])),
            tuple(_readers(stack, name)),
        )
        for name, contract in CONTRACTS.items()
    }


def _readers(stack: Stack, name: str) -> Iterator[Reader]:
    """Yield the targets of the rules that match an example of an event."""
    functions = {consumer.queue: consumer.function for consumer in stack.consumers}
    envelopes = [example.envelope for example in examples()[name]]
    for rule in stack.rules:
        if any(rule.pattern.matches(envelope) for envelope in envelopes):
            yield from (_reader(target, functions) for target in rule.targets)


def _reader(target: Target, functions: Mapping[str, str]) -> Reader:
    function = functions.get(target.name) if target.kind == "queue" else None
    return Reader(target.rule, target.name, function)


def _senders() -> dict[str, list[str]]:
    """Return the services that make an event of a contract, by the name of its class."""
    found: dict[str, set[str]] = {}
    classes = {contract.__name__ for contract in CONTRACTS.values()}
    for path in sorted(SERVICES.rglob("*.py")):
        service = path.relative_to(SERVICES).parts[0]
        if service == "kernel":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = classes & set(_imported(tree))
        for name in _made(tree) if imported else ():
            if name in imported:
                found.setdefault(name, set()).add(service)
    return {name: sorted(services) for name, services in found.items()}


def _imported(tree: ast.AST) -> Iterator[str]:
    """Yield the names that a module imports from the contracts: errors have some of them too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "kernel.events":
            yield from (alias.name for alias in node.names)


def _made(tree: ast.AST) -> Iterator[str]:
    """Yield the names that calls make an object of: the callee, or an argument."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        callee = node.func
        made = callee.value if isinstance(callee, ast.Attribute) else callee
        if isinstance(made, ast.Name):
            if made.id in _NO_SENDERS:
                continue
            yield made.id
        yield from (argument.id for argument in node.args if isinstance(argument, ast.Name))
