"""CloudFormation accepts the output of `make build`: no YAML aliases, nothing over a quota."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cfnlint.api import lint
from cfnlint.decode import cfn_yaml

from infra.packaging import artefact
from infra.packaging.artefact import definition_problems, problems, shared_nodes
from infra.packaging.definitions import TEMPLATE, state_machines, write_definitions
from infra.queries.athena import TEMPLATE as SOURCE

ROOT = SOURCE.parent


def plain(value: Any) -> Any:
    """Return CloudFormation's functions in their long form, as `sam build` writes them."""
    return json.loads(json.dumps(value))


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a build folder: the template as `sam build` leaves it, and the definitions."""
    folder: Path = tmp_path_factory.mktemp("clone") / ".aws-sam" / "build"
    folder.mkdir(parents=True)
    (folder.parents[1] / "workflows").symlink_to(ROOT / "workflows")
    body = plain(cfn_yaml.load(str(SOURCE)))
    for _, properties in state_machines(body):
        properties["DefinitionUri"] = f"../../{properties['DefinitionUri']}"
    (folder / TEMPLATE).write_text(yaml.safe_dump(body, sort_keys=False))
    write_definitions(folder)
    return folder


def definitions(build: Path) -> Iterator[tuple[str, Path]]:
    for name, properties in state_machines(yaml.safe_load((build / TEMPLATE).read_text())):
        yield name, build / properties["DefinitionUri"]


def linted(definition: Any) -> list[str]:
    """Return cfn-lint's findings in a definition that a template holds inlined."""
    role = "arn:aws:iam::123456789012:role/workflow"
    machine = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {"RoleArn": role, "Definition": definition},
    }
    template = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Machine": machine}}
    return [match.rule.id for match in lint(json.dumps(template), None, ["us-east-1"])]


def substituted(text: str) -> str:
    arn = "arn:aws:lambda:us-east-1:123456789012:function:step:live"
    return artefact._SUBSTITUTION.sub(arn, text)  # noqa: SLF001 - the very pattern


def as_jackson_reads(text: str) -> Any:
    """Return YAML as Jackson's tree model does: an alias is the text of its anchor's name."""
    events = [
        yaml.ScalarEvent(None, None, (True, False), str(event.anchor), style='"')
        if isinstance(event, yaml.AliasEvent)
        else event
        for event in yaml.parse(text, yaml.SafeLoader)
    ]
    for event in events:
        if isinstance(event, yaml.NodeEvent) and not isinstance(event, yaml.AliasEvent):
            event.anchor = None
    return yaml.safe_load(yaml.emit(events))


def test_the_build_has_no_problems(build: Path) -> None:
    assert list(problems(build)) == []


def test_each_definition_is_json_within_the_build(build: Path) -> None:
    names = [name for name, _ in definitions(build)]
    assert names == ["OrderProcessing", "OrderRecovery", "OrderApproval"]
    for name, path in definitions(build):
        assert path.parent == build
        [source] = [
            one["DefinitionUri"]
            for key, one in state_machines(plain(cfn_yaml.load(str(SOURCE))))
            if key == name
        ]
        assert json.loads(path.read_text()) == yaml.safe_load((ROOT / source).read_text())


def test_a_second_build_step_changes_nothing(build: Path) -> None:
    before = {path.name: path.read_bytes() for path in build.iterdir()}
    write_definitions(build)
    assert {path.name: path.read_bytes() for path in build.iterdir()} == before


def test_the_definitions_keep_the_schema_of_the_states_language(build: Path) -> None:
    for _, path in definitions(build):
        assert linted(json.loads(substituted(path.read_text()))) == []


def test_the_source_itself_would_be_refused() -> None:
    """The reason for the build step: CloudFormation resolves no alias."""
    text = (ROOT / "workflows/order_processing.asl.yaml").read_text()
    assert list(shared_nodes(text, "source"))
    assert set(linted(as_jackson_reads(substituted(text)))) == {"E3601"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: &x 1\nb: 2\n", "t:1: anchor &x"),
        ("a: &x 1\nb: *x\n", "t:2: alias *x"),
        ("a: {<<: {b: 1}}\n", "t:1: merge key"),
    ],
)
def test_shared_nodes_are_found(text: str, problem: str) -> None:
    assert problem in list(shared_nodes(text, "t"))


def test_a_quoted_merge_key_is_a_key() -> None:
    assert list(shared_nodes('a: {"<<": 1}\n', "t")) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a": "${Other}"}', "f: ${Other} has no substitution"),
        ('{"a": "${Arn"}', 'f: ${Arn"} has no substitution'),
        ('{"a": 1}', "f: substitution Arn is not used"),
        ("a: 1", "f: is not JSON: Expecting value: line 1 column 1 (char 0)"),
        ('{"a": 1, "a": 2}', "f: is not JSON: a key appears twice among ['a', 'a']"),
        ("[]", "f: is not an object"),
    ],
)
def test_a_definition_that_cannot_be_deployed_is_refused(text: str, problem: str) -> None:
    assert problem in list(definition_problems(text, {"Arn": "x"}, "f"))


def test_an_alias_in_a_built_template_is_refused(tmp_path: Path) -> None:
    (tmp_path / TEMPLATE).write_text("Resources: {A: &a {Type: T}, B: *a}\n")
    assert set(problems(tmp_path)) == {
        f"{TEMPLATE}:1: anchor &a",
        f"{TEMPLATE}:1: alias *a",
    }


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        ({"Description": "é" * 513}, "Description: over 1024 bytes"),
        (
            {"Parameters": {f"P{n}": {} for n in range(201)}},
            "Parameters: 201 entries, 200 are allowed",
        ),
        (
            {"Resources": {f"R{n}": {} for n in range(501)}},
            "Resources: 501 entries, 500 are allowed",
        ),
        ({"Outputs": {"o" * 256: {}}}, f"Outputs.{'o' * 256}: name too long"),
        ({"Parameters": {"P": {"Description": "d" * 4001}}}, "Parameters.P: description too long"),
        ({"Parameters": {"P": {"Default": "d" * 4097}}}, "Parameters.P: default too long"),
    ],
)
def test_what_is_over_a_quota_is_refused(part: dict[str, Any], problem: str) -> None:
    assert list(artefact.over_quota(part)) == [problem]


def test_a_file_over_a_megabyte_or_outside_the_build_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside.json").write_text("{}")
    folder = tmp_path / "build"
    folder.mkdir()
    (folder / "large.json").write_text(json.dumps({"a": "x" * artefact.MAX_BYTES}))
    machines = {
        name: {"Type": "AWS::Serverless::StateMachine", "Properties": {"DefinitionUri": uri}}
        for name, uri in (("A", "large.json"), ("B", "../outside.json"), ("C", "missing.json"))
    }
    (folder / TEMPLATE).write_text(json.dumps({"Resources": machines}))
    assert list(problems(folder)) == [
        "large.json: over 1000000 bytes",
        "B: ../outside.json is outside the build folder",
        "C: DefinitionUri missing.json names no file",
    ]
