"""AWS's own checks of the built artefact: workflow definitions and policies.

Sources: ``ValidateStateMachineDefinition`` in the AWS Step Functions API Reference;
``ValidatePolicy`` in the IAM Access Analyzer API Reference.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from infra.local.template.loader import ACCOUNT, REGION, Template
from infra.local.template.resources import identify
from infra.packaging.definitions import BUILD
from infra.release.stage import ReleaseError

Clients = Callable[[str], Any]
"""``(service) -> boto3's client``."""

REFUSED = frozenset({"ERROR", "SECURITY_WARNING"})
"""Types of findings with which nothing is deployed."""

DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
"""Error codes of a caller without the permission."""

_MARK = re.compile(r"\$\{([A-Za-z0-9]+)\}")

_ARNS = {
    "AWS::Cognito::UserPool": f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/{{}}",
    "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{{}}",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{{}}:*",
    "AWS::S3::Bucket": "arn:aws:s3:::{}",
}
"""ARNs of types that one machine does not run, or names in its own way."""


class Policy(NamedTuple):
    """A policy document; ``checked_as`` are the options of Access Analyzer."""

    place: str
    document: Mapping[str, Any]
    checked_as: Mapping[str, str]


_IDENTITY = {"policyType": "IDENTITY_POLICY"}
_RESOURCE = {"policyType": "RESOURCE_POLICY"}
_TRUST = {**_RESOURCE, "validatePolicyResourceType": "AWS::IAM::AssumeRolePolicyDocument"}
_BUCKET = {**_RESOURCE, "validatePolicyResourceType": "AWS::S3::Bucket"}
_BY_TYPE = {"AWS::SQS::QueuePolicy": _RESOURCE, "AWS::S3::BucketPolicy": _BUCKET}


def named(logical_id: str, resource: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the attributes of a resource, with an ARN of the form that AWS gives its type."""
    attributes = identify(logical_id, resource)
    form = _ARNS.get(resource["Type"])
    return {**attributes, "Arn": form.format(logical_id.lower())} if form else attributes


def definitions(template: Template, build: Path = BUILD) -> Iterator[tuple[str, str, str]]:
    """Yield name, type and definition of each workflow, with its substitutions replaced."""
    for name, properties in template.of_type("AWS::Serverless::StateMachine"):
        values = template.resolve(properties.get("DefinitionSubstitutions", {}), name)
        text = (build / properties["DefinitionUri"]).read_text("utf-8")
        kind = template.resolve(properties.get("Type", "STANDARD"), name)
        yield name, str(kind), _MARK.sub(partial(_value, values), text)


def _value(values: Mapping[str, Any], mark: re.Match[str]) -> str:
    return str(values[mark[1]])


def policies(template: Template) -> Iterator[Policy]:
    """Yield each policy of the template, with its references replaced."""
    for name, role in template.of_type("AWS::IAM::Role"):
        trust = template.resolve(role["AssumeRolePolicyDocument"], name)
        yield Policy(f"{name}: trust", trust, _TRUST)
        for policy in role["Policies"]:
            document = template.resolve(policy["PolicyDocument"], name)
            yield Policy(f"{name}: {policy['PolicyName']}", document, _IDENTITY)
    for kind, checked_as in _BY_TYPE.items():
        for name, properties in template.of_type(kind):
            document = template.resolve(properties["PolicyDocument"], name)
            yield Policy(name, document, checked_as)
    for name, properties in template.of_type("AWS::Events::EventBusPolicy"):
        statement = template.resolve(properties["Statement"], name)
        statement = {"Sid": properties["StatementId"], **statement}
        yield Policy(name, {"Version": "2012-10-17", "Statement": [statement]}, _RESOURCE)


def validate(template: Template, clients: Clients, build: Path = BUILD) -> list[str]:
    """Return lines about the checks; a check that the caller may not make is left out.

    Raises
    ------
    ReleaseError
        AWS refuses a definition or a policy.
    """
    lines: list[str] = []
    refused: list[str] = []
    for check in (
        partial(_definition_findings, template, clients("stepfunctions"), build),
        partial(_policy_findings, template, clients("accessanalyzer")),
    ):
        name, findings = _permitted(check)
        lines.append(name)
        for kind, text in findings:
            (refused if kind in REFUSED else lines).append(f"{kind}: {text}")
    if refused:
        raise ReleaseError("AWS refuses the build; correct it:\n  " + "\n  ".join(refused))
    return lines


def _permitted(check: Callable[[], tuple[str, list[tuple[str, str]]]]) -> Any:
    """Return a check's result; without the permission, a line that says so and no findings."""
    from botocore.exceptions import ClientError

    try:
        return check()
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code not in DENIED:
            raise ReleaseError(f"AWS did not check the build: {error}; try again") from None
        return f"not checked, the caller may not call {error.operation_name}", []


def _definition_findings(
    template: Template, states: Any, build: Path
) -> tuple[str, list[tuple[str, str]]]:
    found, number = [], 0
    for name, kind, text in definitions(template, build):
        number += 1
        answer = states.validate_state_machine_definition(definition=text, type=kind)
        found += [
            (one["severity"], f"{name}{one.get('location', '')}: {one['code']} {one['message']}")
            for one in answer["diagnostics"]
        ]
        if answer["result"] != "OK" and not answer["diagnostics"]:
            found.append(("ERROR", f"{name}: {answer['result']}"))
    return f"{number} workflow definitions checked by Step Functions", found


def _policy_findings(template: Template, analyzer: Any) -> tuple[str, list[tuple[str, str]]]:
    found, number = [], 0
    for policy in policies(template):
        number += 1
        options = {"policyDocument": json.dumps(policy.document), **policy.checked_as}
        for page in analyzer.get_paginator("validate_policy").paginate(**options):
            found += [
                (one["findingType"], f"{policy.place}: {one['issueCode']} {one['findingDetails']}")
                for one in page["findings"]
            ]
    return f"{number} policies checked by IAM Access Analyzer", found
