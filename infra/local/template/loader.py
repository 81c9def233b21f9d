"""Load a SAM template: YAML with CloudFormation's tags, parameters and references.

Only the properties that the runtime reads are resolved, so IAM statements may have any content.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from infra.local.template.conditions import ABSENT, Conditions
from infra.local.template.errors import TemplateError
from kernel.json_text import MAX_DEPTH, is_nested_deeper

try:
    from yaml import CSafeLoader as SafeLoader  # seven times as quick, if PyYAML has it
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]

ACCOUNT = "000000000000"
REGION = "us-east-1"
STACK = "orderflow"

PSEUDO_PARAMETERS = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Region": REGION,
    "AWS::Partition": "aws",
    "AWS::StackName": STACK,
    "AWS::URLSuffix": "amazonaws.com",
}

_VARIABLE = re.compile(r"\$\{([^!}][^}]*)\}")

_SAFE_LEVELS = 10_000
"""Levels of YAML that take half of a thread's stack in PyYAML's C code, which checks no depth."""


class _CloudFormationLoader(SafeLoader):
    """YAML with the short form of CloudFormation's intrinsic functions."""


def _intrinsic(loader: _CloudFormationLoader, tag: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


_CloudFormationLoader.add_multi_constructor("!", _intrinsic)


class Template:
    """A SAM template with the values of its parameters.

    Parameters
    ----------
    path : Path
        The file; paths in it are relative to its folder.
    parameters : Mapping[str, str]
        Values for parameters other than their defaults.
    identify : callable
        ``(logical id, resource) -> attributes``; the attribute ``Ref`` is the value of ``!Ref``. An
        attribute may itself be a reference.

    A resource whose condition does not hold is not in ``resources``.
    """

    def __init__(
        self,
        path: Path,
        parameters: Mapping[str, str],
        identify: Callable[[str, Mapping[str, Any]], Mapping[str, Any]],
    ) -> None:
        self.path = path
        self.place = "Resources"
        try:
            body = read_yaml(path.read_text("utf-8"), str(path), _CloudFormationLoader)
        except OSError as error:
            raise TemplateError(str(path), f"cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise TemplateError(str(path), f"is not YAML: {error}") from None
        if not isinstance(body, dict) or not isinstance(body.get("Resources"), dict):
            raise TemplateError(str(path), "has no Resources")
        for name, resource in body["Resources"].items():
            properties = resource.get("Properties", {}) if isinstance(resource, dict) else None
            if not isinstance(properties, dict):
                raise TemplateError(f"Resources.{name}", "is no resource with Properties")
        self._mappings = body.get("Mappings", {})
        self.parameters: Mapping[str, Mapping[str, Any]] = body.get("Parameters", {})
        self.outputs: Mapping[str, Mapping[str, Any]] = body.get("Outputs", {})
        self.globals: Mapping[str, Any] = body.get("Globals", {})
        self._parameters = self._parameter_values(body.get("Parameters", {}), parameters)
        self._functions: Mapping[str, Callable[[Any, str], Any]] = {
            "Ref": self._ref,
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._substitute,
            "Fn::If": self._if,
            "Fn::FindInMap": self._mapped,
        }
        self._conditions = Conditions(body.get("Conditions", {}), self.resolve)
        self._attributes: dict[str, Mapping[str, Any]] = {}  # a condition refers to no resource
        self.resources: Mapping[str, Mapping[str, Any]] = {
            name: resource
            for name, resource in body["Resources"].items()
            if "Condition" not in resource
            or self._conditions.holds(resource["Condition"], f"Resources.{name}.Condition")
        }
        self._attributes = {
            name: identify(name, self._outline(resource))
            for name, resource in self.resources.items()
        }

    def of_type(self, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield the logical id and the unresolved properties of each resource of a type."""
        for name, resource in self.resources.items():
            if resource.get("Type") == kind:
                yield name, resource.get("Properties", {})

    def properties(
        self, kind: str, run: set[str], inert: set[str]
    ) -> Iterator[tuple[str, str, "partial[Any]"]]:
        """Yield logical id, place and a getter of properties for each resource of a type.

        Parameters
        ----------
        kind : str
            The resource type.
        run : set[str]
            Properties that the runtime reads.
        inert : set[str]
            Properties without effect on one machine.

        Raises
        ------
        TemplateError
            A property is in neither set.
        """
        for name, properties in self.of_type(kind):
            self.place = place = f"Resources.{name}.Properties"
            refuse_others(properties, run | inert, place)
            yield name, place, partial(self._get, properties, place)

    def _get(self, properties: Mapping[str, Any], place: str, key: str, default: Any = None) -> Any:
        value = self.resolve(properties.get(key, default), f"{place}.{key}")
        return default if value is ABSENT else value

    def resolve(self, value: Any, place: str) -> Any:
        """Return a value with its references replaced."""
        if isinstance(value, Mapping):
            if len(value) == 1:
                [(name, argument)] = value.items()
                if name in self._functions:
                    return self._functions[name](argument, place)
                if name.startswith("Fn::") or name == "Condition":
                    raise TemplateError(place, f"{name} is not supported on one machine")
            fields = {key: self.resolve(entry, f"{place}.{key}") for key, entry in value.items()}
            return {key: entry for key, entry in fields.items() if entry is not ABSENT}
        if isinstance(value, list):
            entries = [self.resolve(entry, f"{place}[{n}]") for n, entry in enumerate(value)]
            return [entry for entry in entries if entry is not ABSENT]
        return value

    def _ref(self, argument: str, place: str) -> Any:
        name, _, attribute = argument.partition(".")  # SAM has `!Ref Function.Alias` as well
        return self._reference(name, attribute or "Ref", place)

    def _get_att(self, argument: Any, place: str) -> Any:
        return self._reference(argument[0], argument[1], place)

    def _if(self, argument: Any, place: str) -> Any:
        return self.resolve(self._conditions.choose(argument, place), place)

    def _parameter_values(
        self, declared: Mapping[str, Any], values: Mapping[str, str]
    ) -> dict[str, Any]:
        unknown = sorted(set(values) - set(declared))
        if unknown:
            raise TemplateError(f"Parameters.{unknown[0]}", "is not a parameter of the template")
        resolved = {}
        for name, parameter in declared.items():
            value = values.get(name, parameter.get("Default"))
            allowed = parameter.get("AllowedValues")
            if value is None:
                raise TemplateError(f"Parameters.{name}", "has no default; give it a value")
            if allowed and value not in allowed:
                raise TemplateError(f"Parameters.{name}", f"{value!r} is none of {allowed}")
            _check_bounds(name, value, parameter)
            resolved[name] = value
        return resolved

    def _outline(self, resource: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a resource whose name, if any, is resolved from parameters alone."""
        properties = dict(resource.get("Properties", {}))
        for key in ("Name", "QueueName", "FunctionName"):
            if key == "FunctionName" and resource.get("Type") != "AWS::Serverless::Function":
                continue  # a permission names the function that it is about
            if isinstance(properties.get(key), Mapping):
                properties[key] = self.resolve(properties[key], key)
        return {**resource, "Properties": properties}

    def _reference(self, name: str, attribute: str, place: str) -> Any:
        """Return an attribute of a resource, or the value of a parameter."""
        if attribute == "Ref":
            if name == "AWS::NoValue":
                return ABSENT
            if name in self._parameters:
                return str(self._parameters[name])
            if name in PSEUDO_PARAMETERS:
                return PSEUDO_PARAMETERS[name]
        attributes = self._attributes.get(name)
        if attributes is None:
            raise TemplateError(place, f"refers to {name!r}, which the template does not have")
        if attribute not in attributes:
            raise TemplateError(place, f"refers to {name}.{attribute}, which is not known here")
        return self.resolve(attributes[attribute], place)

    def _mapped(self, argument: Any, place: str) -> Any:
        """Return the value of a map at two keys, which may be references."""
        keys = self.resolve(argument, place)
        value = self._mappings
        for key in keys:
            if not isinstance(value, Mapping) or key not in value:
                raise TemplateError(place, f"Mappings has no value at {' / '.join(map(str, keys))}")
            value = value[key]
        return value

    def _substitute(self, argument: Any, place: str) -> str:
        text, local = argument if isinstance(argument, list) else (argument, {})

        def replaced(match: re.Match[str]) -> str:
            name, _, attribute = match[1].partition(".")
            if match[1] in local:
                return str(self.resolve(local[match[1]], place))
            return str(self._reference(name, attribute or "Ref", place))

        return _VARIABLE.sub(replaced, text).replace("${!", "${")


def read_yaml(text: str, place: str, loader: type[SafeLoader] = SafeLoader) -> Any:
    """Return the value of a YAML document.

    Raises
    ------
    TemplateError
        It is not YAML, or is nested too deep.
    """
    value: Any = None
    try:
        deep = _is_too_deep(text)
        if not deep:
            value = yaml.load(text, loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise TemplateError(place, f"is not YAML: {error}") from None
    except RecursionError:  # from nested intrinsic functions
        deep = True
    if deep or is_nested_deeper(value):
        raise TemplateError(place, f"is nested deeper than {MAX_DEPTH} levels")
    return value


def _is_too_deep(text: str) -> bool:
    """Return whether YAML is nested deeper than `MAX_DEPTH`.

    A text with at most `_SAFE_LEVELS` levels is left to the check of its value.
    """
    if sum(map(text.count, "[{-:?")) <= _SAFE_LEVELS:  # one of these begins each level
        return False
    depth = 0
    for event in yaml.parse(text, SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            return True
    return False


def refuse_others(properties: Mapping[str, Any], known: set[str], place: str) -> None:
    """Raise `TemplateError` for a property that is not in ``known``."""
    for key in properties:
        if key not in known:
            raise TemplateError(f"{place}.{key}", "is not supported on one machine")


def _check_bounds(name: str, value: Any, parameter: Mapping[str, Any]) -> None:
    if parameter.get("Type") != "Number":
        return
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TemplateError(f"Parameters.{name}", f"{value!r} is not a number") from None
    low, high = (float(parameter.get(key, number)) for key in ("MinValue", "MaxValue"))
    if not low <= number <= high:
        raise TemplateError(f"Parameters.{name}", f"{value} is not from {low:g} to {high:g}")
