"""The template for MiniStack: removed and altered resources, with the reasons."""

import json
import platform
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from tests.rehearsal.package import RUNTIME

REMOVED = {
    "AWS::ApplicationInsights::*": "MiniStack has none",
    "AWS::Athena::NamedQuery": "MiniStack has none",
    "AWS::CloudWatch::Alarm, of an expression": "MiniStack has no metric math",
    "AWS::CloudWatch::CompositeAlarm": "MiniStack has none",
    "AWS::EventSchemas::*": "MiniStack has none",
    "AWS::Events::Archive": "MiniStack's CloudFormation has none",
    "AWS::Events::EventBusPolicy": "MiniStack's CloudFormation has none",
    "AWS::Logs::MetricFilter": "no alarm is looked at",
    "AWS::Serverless::LayerVersion": "the functions' dependencies come from .venv",
    "AWS::StepFunctions::StateMachineAlias": "MiniStack's CloudFormation has none",
    "AWS::StepFunctions::StateMachineVersion": "MiniStack's CloudFormation has none",
    "AWS::XRay::*": "MiniStack has none",
}
"""Removed kinds of resources, with the reasons."""

PATIENCE = 6
"""Factor for the timeouts of functions in the template."""

ALTERED = {
    "WorkflowType": "STANDARD, so that histories can be compared",
    "Architecture": "this machine's",
    "aliases of state machines": "the state machine itself, as its one version",
    "DeploymentPreference": "there is no CodeDeploy",
    "CodeUri": "one package of services/, and that of the console, with the program that runs it",
    "Runtime": "a custom one that runs Lambda's own Python client (see tests/rehearsal/package.py)",
    "Timeout": f"{PATIENCE} times as long: each function starts a process there",
    "Tracing": "off: there is no X-Ray",
    "CONSOLE_DOMAIN": "MiniStack's own address, which has the pages of its user pools",
    "Environment": "numbers as text, as in CloudFormation; no references to removed resources",
    "MaximumConcurrency": "a number: to MiniStack a parameter is text; CloudFormation converts it",
    "schedules": "disabled: the rehearsal moves the clock and calls the reconciler itself",
}
"""Altered properties, with the reasons."""


_VARIABLE = re.compile(r"\$\{(\w+)[.}]")


class _Loader(yaml.CSafeLoader):
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
    """Return the rehearsal's parameters of the template."""
    arm = platform.machine().lower() in ("arm64", "aarch64")
    return {
        "WorkflowType": "STANDARD",
        "Architecture": "arm64" if arm else "x86_64",
        "Console": "hosted",
    }


def adapted(
    template: Mapping[str, Any],
    package: str,
    files: Mapping[str, str],
    patience: int = PATIENCE,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the template for MiniStack, and the kinds of removed resources by logical id.

    ``package`` is the S3 URL of the functions' code, ``files`` that of each workflow file and of
    each function's own package, ``patience`` the factor for the timeouts of functions.
    """
    template = unaliased(template)
    resources = {name: dict(body) for name, body in template["Resources"].items()}
    out = {name: kind(body) for name, body in resources.items() if reason(kind(body))}
    for name in out:
        del resources[name]
    for resource in resources.values():
        if "DependsOn" in resource:
            wanted = resource["DependsOn"]
            wanted = [wanted] if isinstance(wanted, str) else wanted
            resource["DependsOn"] = [name for name in wanted if name not in out]
        _alter(resource, files, out, patience)
        _resolve_concurrency(resource, template["Parameters"])
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


def unaliased(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return a template in which each reference to an alias names its state machine."""
    resources = template["Resources"]
    text = json.dumps(template)
    for name, resource in resources.items():
        if resource["Type"] == "AWS::StepFunctions::StateMachineAlias":
            properties = resource["Properties"]
            version = properties["DeploymentPreference"]["StateMachineVersionArn"]["Ref"]
            machine = resources[version]["Properties"]["StateMachineArn"]
            text = text.replace(json.dumps({"Ref": name}), json.dumps(machine))
            text = text.replace(f':{properties["Name"]["Fn::Sub"]}"', '"')
    body: dict[str, Any] = json.loads(text)
    return body


def kind(resource: Mapping[str, Any]) -> str:
    """Return the kind of a resource: its type, with a suffix for alarms of an expression."""
    name: str = resource["Type"]
    if name == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]:
        return f"{name}, of an expression"
    return name


def reason(kind: str) -> str | None:
    """Return the reason to remove resources of a kind, or None."""
    return next((why for name, why in REMOVED.items() if fnmatchcase(kind, name)), None)


def references(value: Any) -> Iterator[str]:
    """Yield the names that a part of a template refers to."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key == "Ref":
                yield inner
            elif key == "Fn::GetAtt":
                yield inner[0]
            elif key == "Fn::Sub":
                text = inner if isinstance(inner, str) else inner[0]
                yield from (match[1] for match in _VARIABLE.finditer(text))
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def _without(value: Any, out: Mapping[str, str]) -> Any:
    """Return a part of a template with a name instead of each reference to a removed resource."""
    if isinstance(value, Mapping):
        if value.keys() & {"Ref", "Fn::GetAtt"}:
            [name] = references(value)
            return f"removed-{name}" if name in out else value
        return {key: _without(inner, out) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without(inner, out) for inner in value]
    return value


def _globals(body: Mapping[str, Any], package: str) -> dict[str, Any]:
    function = dict(body["Function"])
    function.pop("Layers", None)
    function.pop("DeploymentPreference", None)
    function |= {"CodeUri": package, "Runtime": RUNTIME, "Tracing": "PassThrough"}
    written = function["Environment"]["Variables"]
    # a variable with a condition is one of OpenTelemetry's, which has a layer of its own
    variables = {name: one for name, one in written.items() if "Fn::If" not in one}
    function["Environment"] = {"Variables": {**variables, "TRACING": "none"}}
    return {**body, "Function": function}


def _resolve_concurrency(resource: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
    """Replace a parameter in the concurrency of a queue's consumer by its default."""
    for source in resource["Properties"].get("Events", {}).values():
        scaling = source["Properties"].get("ScalingConfig", {})
        wanted = scaling.get("MaximumConcurrency")
        if isinstance(wanted, Mapping):
            scaling["MaximumConcurrency"] = parameters[wanted["Ref"]]["Default"]


def _alter(
    resource: dict[str, Any],
    files: Mapping[str, str],
    out: Mapping[str, str],
    patience: int,
) -> None:
    properties = resource.setdefault("Properties", {})
    if resource["Type"] == "AWS::Serverless::StateMachine":
        properties["DefinitionUri"] = files[properties["DefinitionUri"]]
        properties.pop("Tracing", None)
    elif resource["Type"] == "AWS::Serverless::Function":
        properties.pop("Layers", None)
        properties.pop("DeploymentPreference", None)
        code = properties.pop("CodeUri", None)
        if code in files:
            properties["CodeUri"] = files[code]
        if "Timeout" in properties:
            properties["Timeout"] *= patience
        variables = properties.get("Environment", {}).get("Variables", {})
        for name, value in list(variables.items()):
            if out.keys() & set(references(value)):
                del variables[name]
            elif not isinstance(value, Mapping):
                variables[name] = str(value)
        for source in properties.get("Events", {}).values():
            if source["Type"] == "ScheduleV2":
                source["Properties"]["State"] = "DISABLED"
