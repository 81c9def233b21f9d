"""Write each workflow's definition into the build folder as JSON, and point the template there.

CloudFormation reads a definition from S3 as text, replaces the substitutions, and parses it with
Jackson, as JSON first and as YAML second. Jackson's tree model reads an alias as the text of its
anchor's name, so that ``Retry: *errors`` arrives as ``"Retry": "errors"`` and the deployment rolls
back. SAM uploads the file unchanged.

Sources: ``DefinitionProcessor`` in aws-cloudformation-resource-providers-stepfunctions;
cfn-language-discussion #49; jackson-dataformats-text #85.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

BUILD = Path(".aws-sam/build")
TEMPLATE = "template.yaml"
STATE_MACHINE = "AWS::Serverless::StateMachine"


class _Dumper(yaml.SafeDumper):
    """YAML without anchors and aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the base class's
        """Write each value out."""
        return True


def write_definitions(build: Path) -> list[Path]:
    """Write the definitions that the built template names; return their paths."""
    path = build / TEMPLATE
    template = yaml.safe_load(path.read_text("utf-8"))
    written = []
    for name, properties in state_machines(template):
        definition = yaml.safe_load((build / properties["DefinitionUri"]).read_text("utf-8"))
        target = build / f"{name}.asl.json"
        target.write_text(json.dumps(definition, indent=1) + "\n", "utf-8")
        properties["DefinitionUri"] = target.name
        written.append(target)
    path.write_text(yaml.dump(template, Dumper=_Dumper, sort_keys=False), "utf-8")
    return written


def state_machines(template: Any) -> Iterator[tuple[str, Any]]:
    """Yield logical id and properties of each state machine."""
    for name, resource in template["Resources"].items():
        if resource["Type"] == STATE_MACHINE:
            yield name, resource["Properties"]


def main() -> int:
    """Write the definitions into `BUILD`."""
    for path in write_definitions(BUILD):
        print(f"{path} {path.stat().st_size / 1000:.1f} kB")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
