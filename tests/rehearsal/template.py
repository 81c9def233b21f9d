"""The template as MiniStack can take it: what is taken out of it or altered, and why."""

import json
import platform
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from tests.rehearsal.package import RUNTIME

TAKEN_OUT = {
    "AWS::ApplicationInsights::*": "MiniStack has none",
    "AWS::Athena::NamedQuery": "MiniStack has none",
    "AWS::CloudWatch::Alarm, of an expression": "MiniStack has no metric math",
    "AWS::CloudWatch::CompositeAlarm": "MiniStack has none",
    "AWS::EventSchemas::*": "MiniStack has none",
    "AWS::Events::Archive": "MiniStack's CloudFormation has none",
    "AWS::Events::EventBusPolicy": "MiniStack's CloudFormation has none",
    "AWS::Serverless::LayerVersion": "the functions' dependencies come from .venv",
    "AWS::XRay::*": "MiniStack has none",
}
"""Kinds of resources, and why they are taken out."""

PATIENCE = 6
"""How many times as long a function may take as the template says."""

ALTERED = {
    "WorkflowType": "STANDARD, so that histories can be compared",
    "Architecture": "this machine's",
    "CodeUri": "one package of services/, with the program that runs it there",
    "Runtime": "a custom one that runs Lambda's own Python client (see tests/rehearsal/package.py)",
    "Timeout": f"{PATIENCE} times as long: a function begins in a process of its own there",
    "Tracing": "off: nobody here takes traces",
    "Environment": "numbers as texts, as CloudFormation makes them; nothing of what is taken out",
    "schedules": "disabled: the rehearsal moves the clock and calls the reconciler itself",
}
"""What is said otherwise, and why."""


_VARIABLE = re.compile(r"\$\{(\w+)[.}]")


class _Loader(yaml.SafeLoader):
    """YAML with the short form of CloudFormation's functions."""


def _function(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        value = value.split(".", 1) if tag == "GetAtt" else value
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _function)


def read(path: Path) -> dict[str, Any]:
    """Return a template with CloudFormation's functions in their long form."""
    with path.open(encoding="utf-8") as file:
        # through JSON, since an anchor's alias is the same object, and one of them may be altered
        body: dict[str, Any] = json.loads(json.dumps(yaml.load(file, _Loader), default=str))  # noqa: S506 - a SafeLoader
    return body


def parameters() -> dict[str, str]:
    """Return the parameters that the rehearsal gives the template."""
    arm = platform.machine().lower() in ("arm64", "aarch64")
    return {"WorkflowType": "STANDARD", "Architecture": "arm64" if arm else "x86_64"}


def adapted(
    template: Mapping[str, Any], package: str, definitions: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the template as MiniStack can take it, and what was taken out by logical id.

    ``package`` is where the functions' code is; ``definitions`` says it of each workflow's file.
    """
    resources = {name: dict(one) for name, one in template["Resources"].items()}
    out = {name: kind(one) for name, one in resources.items() if reason(kind(one))}
    for name in out:
        del resources[name]
    for resource in resources.values():
        if "DependsOn" in resource:
            wanted = resource["DependsOn"]
            wanted = [wanted] if isinstance(wanted, str) else wanted
            resource["DependsOn"] = [one for one in wanted if one not in out]
        _alter(resource, definitions, out)
    resources = _without(resources, out)
    body = {
        **template,
        "Globals": _globals(template.get("Globals", {}), package),
        "Resources": resources,
        "Outputs": {
            name: output
            for name, output in template.get("Outputs", {}).items()
            if not out.keys() & set(references(output))
        },
    }
    return body, out


def kind(resource: Mapping[str, Any]) -> str:
    """Return the kind of a resource: its type, and what else decides whether it is taken out."""
    found: str = resource["Type"]
    if found == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]:
        return f"{found}, of an expression"
    return found


def reason(kind: str) -> str | None:
    """Return why resources of a kind are taken out, if they are."""
    return next((why for name, why in TAKEN_OUT.items() if fnmatchcase(kind, name)), None)


def references(value: Any) -> Iterator[str]:
    """Return the names that a part of a template refers to."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            if key == "Ref":
                yield one
            elif key == "Fn::GetAtt":
                yield one[0]
            elif key == "Fn::Sub":
                text = one if isinstance(one, str) else one[0]
                yield from (match[1] for match in _VARIABLE.finditer(text))
            else:
                yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


def _without(value: Any, out: Mapping[str, str]) -> Any:
    """Return a part of a template with a name in place of each reference to what is taken out."""
    if isinstance(value, Mapping):
        if value.keys() & {"Ref", "Fn::GetAtt"}:
            [name] = references(value)
            return f"taken-out-{name}" if name in out else value
        return {key: _without(one, out) for key, one in value.items()}
    if isinstance(value, list):
        return [_without(one, out) for one in value]
    return value


def _globals(found: Mapping[str, Any], package: str) -> dict[str, Any]:
    function = dict(found["Function"])
    function.pop("Layers", None)
    function |= {"CodeUri": package, "Runtime": RUNTIME, "Tracing": "PassThrough"}
    variables = function["Environment"]["Variables"]
    function["Environment"] = {"Variables": {**variables, "TRACING": "off"}}
    return {**found, "Function": function}


def _alter(
    resource: dict[str, Any], definitions: Mapping[str, str], out: Mapping[str, str]
) -> None:
    properties = resource.setdefault("Properties", {})
    if resource["Type"] == "AWS::Serverless::StateMachine":
        properties["DefinitionUri"] = definitions[properties["DefinitionUri"]]
        properties.pop("Tracing", None)
    elif resource["Type"] == "AWS::Serverless::Function":
        properties.pop("Layers", None)
        properties.pop("CodeUri", None)
        if "Timeout" in properties:
            properties["Timeout"] *= PATIENCE
        variables = properties.get("Environment", {}).get("Variables", {})
        for name, value in list(variables.items()):
            if out.keys() & set(references(value)):
                del variables[name]
            elif not isinstance(value, Mapping):
                variables[name] = str(value)
        for source in properties.get("Events", {}).values():
            if source["Type"] == "ScheduleV2":
                source["Properties"]["State"] = "DISABLED"
