"""Lint the build folder as CloudFormation sees it: transformed, with the definitions inlined.

Runs in the environment of the SAM CLI, which has SAM's transform. cfn-lint reads a definition
(E3601) only where the template holds it as an object. Each combination of parameters
(`infra.packaging.combinations`) is one template with these values alone.
"""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import boto3
import yaml
from cfnlint.api import lint
from cfnlint.config import ManualArgs
from samtranslator.parser.parser import Parser  # type: ignore[import-not-found]
from samtranslator.translator.translator import Translator  # type: ignore[import-not-found]

from infra.packaging.artefact import over_quota
from infra.packaging.combinations import pairwise
from infra.packaging.definitions import BUILD, TEMPLATE, state_machines

REGION = "us-east-1"
UPLOADED = "s3://bucket/key"

RESOLVED = ["W1028", "W1030", "W2001"]
"""Warnings of a branch that is not reached, or of a parameter that the transform has replaced."""


def inlined(build: Path) -> dict[str, Any]:
    """Return the built template with each definition as an object, and uploads in a bucket."""
    template: dict[str, Any] = yaml.safe_load((build / TEMPLATE).read_text("utf-8"))
    for _, properties in state_machines(template):
        properties["Definition"] = json.loads((build / properties.pop("DefinitionUri")).read_text())
    for resource in template["Resources"].values():
        for field in ("CodeUri", "ContentUri"):
            if field in resource.get("Properties", {}):
                resource["Properties"][field] = UPLOADED
    return template


def transformed(template: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """Return the template after SAM's transform, with these values of the parameters alone."""
    source = deepcopy(dict(template))
    definitions = {name: one["Definition"] for name, one in state_machines(source)}
    session = boto3.Session(region_name=REGION)
    pseudo = {"AWS::Region": REGION, "AWS::Partition": "aws"}
    result: dict[str, Any] = Translator({}, Parser(), None, session).translate(
        source, {**pseudo, **values}
    )
    for name, definition in definitions.items():
        properties = result["Resources"][name]["Properties"]
        del properties["DefinitionString"]
        properties["Definition"] = definition
    for name, value in values.items():
        parameter = result["Parameters"][name]
        parameter.pop("AllowedValues", None)
        parameter |= {"Default": value, "AllowedValues": [value]}
    del result["Rules"]  # written about parameters' other values
    return result


def findings(build: Path) -> Iterator[str]:
    """Yield what cfn-lint and CloudFormation's quotas refuse, by combination of parameters."""
    template = inlined(build)
    rules = ManualArgs(regions=[REGION], ignore_checks=RESOLVED)
    for values in pairwise(template["Parameters"]):
        result = transformed(template, values)
        place = " ".join(f"{name}={value}" for name, value in values.items())
        yield from (f"{place}: {problem}" for problem in over_quota(result))
        for match in lint(json.dumps(result), None, [REGION], rules):
            yield f"{place}: {match.rule.id} {match.message} at {match.path}"


def main() -> int:
    """Print the findings for `BUILD`; 1 if there are any."""
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    count = 0
    for finding in findings(BUILD):
        print(finding)  # noqa: T201
        count += 1
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main())
