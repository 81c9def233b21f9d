"""The properties of a template's resources that replace a resource when they change.

``python -m tests.contract.replacement COMMIT`` writes those of a released template into
`RELEASES`; ``--schemas`` writes `CREATE_ONLY` from cfn-lint's copy of CloudFormation's
public resource schemas. Sources: "Update behaviors of stack resources" in the AWS CloudFormation
User Guide; ``createOnlyProperties`` and ``conditionalCreateOnlyProperties`` of each schema.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.local.template.loader import Template
from infra.queries.athena import TEMPLATE

ROOT = TEMPLATE.parent
CREATE_ONLY = ROOT / "tests/contract/create_only.json"
RELEASES = ROOT / "tests/fixtures/releases"
REGION = "us-east-1"

HOSTED = {"Console": "hosted"}
"""Parameters with which the stack has each resource of the template."""

SERVERLESS = {
    "AWS::Serverless::Function": "AWS::Lambda::Function",
    "AWS::Serverless::HttpApi": "AWS::ApiGatewayV2::Api",
    "AWS::Serverless::LayerVersion": "AWS::Lambda::LayerVersion",
    "AWS::Serverless::StateMachine": "AWS::StepFunctions::StateMachine",
}
"""The resource types of which SAM's resources become resources of the same logical id."""

RENAMED = {
    "AWS::StepFunctions::StateMachine": {"StateMachineName": "Name", "StateMachineType": "Type"},
    "AWS::Lambda::LayerVersion": {"Content": "ContentUri"},
}
"""SAM's names of properties, where they differ."""

Identity = dict[str, Any]
"""Type and replacing properties of a resource; a property that is not set is absent."""


class _Symbols(dict[str, Any]):
    """The attributes of a resource, as symbols."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def __contains__(self, key: object) -> bool:
        return True

    def __getitem__(self, key: str) -> str:
        return f"<{self._name}.{key}>"


def identities(path: Path, parameters: Mapping[str, str]) -> dict[str, Identity]:
    """Return the identity of each resource of a template, by logical id."""
    template = Template(path, parameters, lambda name, _: _Symbols(name))
    found = {}
    for name, resource in template.resources.items():
        kind = kind_of(resource)
        identity: Identity = {"type": kind}
        identity["properties"] = dict(_values(template, kind, resource))
        for index in resource.get("Properties", {}).get("GlobalSecondaryIndexes", ()):
            identity.setdefault("indexes", {})[index["IndexName"]] = dict(index)
        found[name] = identity
    return found


def kind_of(resource: Mapping[str, Any]) -> str:
    """Return the CloudFormation type of a resource."""
    kind: str = resource["Type"]
    return SERVERLESS.get(kind, kind)


def _values(
    template: Template, kind: str, resource: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    for path in json.loads(CREATE_ONLY.read_text())["types"][kind]:
        value: Any = resource.get("Properties", {})
        for part in path.split("/"):
            key = RENAMED.get(kind, {}).get(part, part)
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            yield path, template.resolve(value, path)


def create_only(kind: str) -> list[str]:
    """Return the paths of a type's replacing properties, in cfn-lint's copy of its schema."""
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, kind).schema
    names = ("createOnlyProperties", "conditionalCreateOnlyProperties")
    paths = {path for name in names for path in schema.get(name) or ()}
    return sorted(path.removeprefix("/properties/") for path in paths)


def replaced(before: Mapping[str, Identity], after: Mapping[str, Identity]) -> dict[str, list[str]]:
    """Return the resources that an update replaces or removes, with the properties that do it.

    The property is ``(removed)`` for a resource that is not there any more, and ``(type)`` for one
    of another type.
    """
    found = {}
    for name, old in before.items():
        new = after.get(name)
        if new is None:
            found[name] = ["(removed)"]
        elif new["type"] != old["type"]:
            found[name] = ["(type)"]
        else:
            paths = old["properties"].keys() | new["properties"].keys()
            changed = [
                path
                for path in sorted(paths)
                if old["properties"].get(path) != new["properties"].get(path)
            ]
            if changed:
                found[name] = changed
    return found


def main() -> int:
    """Write the schemas' properties, or the identities of a released template."""
    [argument] = sys.argv[1:]
    if argument == "--schemas":
        template = Template(TEMPLATE, HOSTED, lambda *_: {})
        kinds = {kind_of(one) for one in template.resources.values()}
        source = "createOnlyProperties of CloudFormation's public resource schemas, by cfn-lint"
        document: Any = {
            "source": source,
            "types": {kind: create_only(kind) for kind in sorted(kinds)},
        }
        CREATE_ONLY.write_text(json.dumps(document, indent=1) + "\n")
        return 0
    shown = subprocess.run(
        ["git", "show", f"{argument}:template.yaml"],
        check=True,
        capture_output=True,
        cwd=ROOT,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.yaml"
        path.write_bytes(shown.stdout)
        found = identities(path, {})
    (RELEASES / f"{argument}.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
