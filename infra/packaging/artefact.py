"""Check the build folder, which `sam deploy` uploads, against the rules of CloudFormation.

Sources: "Understand CloudFormation quotas" and "Parameters" in the AWS CloudFormation User Guide;
"Step Functions service quotas" in the AWS Step Functions Developer Guide.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from infra.packaging.definitions import BUILD, TEMPLATE, state_machines

MAX_BYTES = 1_000_000
"""Bytes of a template in a bucket, and of a definition: 1 MB each."""

MAX_ENTRIES = {"Parameters": 200, "Mappings": 200, "Resources": 500, "Outputs": 200}
"""Entries of a template's sections."""

MAX_DESCRIPTION_BYTES = 1024
MAX_PARAMETER_DESCRIPTION = 4000
MAX_NAME = 255
MAX_PARAMETER_VALUE_BYTES = 4096

_SUBSTITUTION = re.compile(r"\$\{([^}]*)\}?")


def problems(build: Path) -> Iterator[str]:
    """Yield each problem of the build folder, with its place."""
    path = build / TEMPLATE
    text = path.read_text("utf-8")
    yield from shared_nodes(text, TEMPLATE)
    yield from _too_large(path)
    template = yaml.safe_load(text)
    yield from over_quota(template)
    for name, properties in state_machines(template):
        uri = properties.get("DefinitionUri")
        if not isinstance(uri, str) or not (build / uri).is_file():
            yield f"{name}: DefinitionUri {uri} names no file"
        elif build.resolve() not in (build / uri).resolve().parents:
            yield f"{name}: {uri} is outside the build folder"
        else:
            yield from _too_large(build / uri)
            given = properties.get("DefinitionSubstitutions", {})
            yield from definition_problems((build / uri).read_text("utf-8"), given, uri)


def definition_problems(text: str, substitutions: Mapping[str, Any], place: str) -> Iterator[str]:
    """Yield the problems of a definition that CloudFormation reads from a bucket."""
    try:
        definition = json.loads(text, object_pairs_hook=_unique)
    except ValueError as error:
        yield f"{place}: is not JSON: {error}"
        return
    if not isinstance(definition, dict):
        yield f"{place}: is not an object"
    used = set(_SUBSTITUTION.findall(text))
    for name in sorted(used - set(substitutions)):
        yield f"{place}: ${{{name}}} has no substitution"
    for name in sorted(set(substitutions) - used):
        yield f"{place}: substitution {name} is not used"


def shared_nodes(text: str, place: str) -> Iterator[str]:
    """Yield the anchors, aliases and merge keys of a YAML document."""
    for event in yaml.parse(text, yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent):
            yield f"{place}:{line}: alias *{event.anchor}"
        elif isinstance(event, yaml.NodeEvent) and event.anchor:
            yield f"{place}:{line}: anchor &{event.anchor}"
        if isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0]:
            yield f"{place}:{line}: merge key"


def over_quota(template: Mapping[str, Any]) -> Iterator[str]:
    """Yield the places where a template exceeds a quota of CloudFormation."""
    if len(template.get("Description", "").encode()) > MAX_DESCRIPTION_BYTES:
        yield f"Description: over {MAX_DESCRIPTION_BYTES} bytes"
    for section, most in MAX_ENTRIES.items():
        entries = template.get(section, {})
        if len(entries) > most:
            yield f"{section}: {len(entries)} entries, {most} are allowed"
        yield from (f"{section}.{name}: name too long" for name in entries if len(name) > MAX_NAME)
    for name, parameter in template.get("Parameters", {}).items():
        if len(parameter.get("Description", "")) > MAX_PARAMETER_DESCRIPTION:
            yield f"Parameters.{name}: description too long"
        if len(str(parameter.get("Default", "")).encode()) > MAX_PARAMETER_VALUE_BYTES:
            yield f"Parameters.{name}: default too long"


def _too_large(path: Path) -> Iterator[str]:
    if path.stat().st_size > MAX_BYTES:
        yield f"{path.name}: over {MAX_BYTES} bytes"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; refuse a key that appears twice."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError(f"a key appears twice among {sorted(key for key, _ in pairs)}")
    return value


def main() -> int:
    """Print the problems of `BUILD`; 1 if there are any."""
    count = 0
    for problem in problems(BUILD):
        print(problem)  # noqa: T201
        count += 1
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main())
