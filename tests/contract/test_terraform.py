"""The Terraform module is one stack with the template's parameters and outputs."""

import re
from pathlib import Path
from typing import Any

import pytest

from infra.local.template.loader import Template
from infra.terraform.generate import MODULE, TEMPLATE, files, output, quoted, snake_case, variable

BODY = Template(TEMPLATE, {}, lambda _, __: {})
MAIN = (MODULE / "main.tf").read_text()


@pytest.mark.parametrize("name", ["variables.tf", "outputs.tf"])
def test_a_generated_file_is_the_templates(name: str) -> None:
    assert (MODULE / name).read_text() == files(BODY)[name], "run: make terraform"


def test_the_module_describes_the_stack_alone() -> None:
    text = "".join(path.read_text() for path in sorted(MODULE.glob("*.tf")))
    assert re.findall(r"^(?:resource|data|module) .*", text, re.MULTILINE) == [
        'resource "aws_cloudformation_stack" "orderflow" {'
    ]


def test_each_parameter_has_its_variable_and_reaches_the_stack() -> None:
    text = (MODULE / "variables.tf").read_text()
    for name in BODY.parameters:
        assert f'variable "{snake_case(name)}" {{' in text
        assert re.search(rf"^    {name} += .*var\.{snake_case(name)}\b", text, re.MULTILINE), name
    assert "parameters   = local.parameters" in MAIN
    declared = re.findall(r'^variable "(\w+)"', MAIN, re.MULTILINE)
    assert declared == ["stack_name", "template_url", "tags"]
    assert not {snake_case(name) for name in BODY.parameters} & set(declared)


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("orderflow-prod", True),
        ("o" * 32, True),
        ("o" * 33, False),
        ("Orderflow", False),
        ("1orders", False),
        ("", False),
    ],
)
def test_a_stack_name_is_one_from_which_every_resource_can_be_named(
    name: str,
    accepted: bool,  # noqa: FBT001
) -> None:
    [pattern] = re.findall(r'can\(regex\("(.*)", var\.stack_name\)\)', MAIN)
    assert (re.search(pattern, name) is not None) is accepted


def test_each_output_is_exported() -> None:
    exported = re.findall(r'^output "(\w+)"', (MODULE / "outputs.tf").read_text(), re.MULTILINE)
    assert exported == [snake_case(name) for name in BODY.outputs]


def test_the_stack_may_make_roles_and_expand_its_transform() -> None:
    [named] = re.findall(r"capabilities = \[(.*)\]", MAIN)
    assert named == '"CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"'
    roles = dict(BODY.of_type("AWS::IAM::Role")).values()
    assert not [role for role in roles if "RoleName" in role], "would need CAPABILITY_NAMED_IAM"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('a "b"', r'"a \"b\""'),
        ("${Stage} %{if}", '"$${Stage} %%{if}"'),
        (r"[0-9]\.", r'"[0-9]\\."'),
    ],
)
def test_text_is_no_template_of_terraform(text: str, written: str) -> None:
    assert quoted(text) == written


@pytest.mark.parametrize(
    ("parameter", "lines"),
    [
        (
            {"Type": "Number", "Default": 0.05, "MinValue": 0, "MaxValue": 1},
            ["default     = 0.05", "condition     = var.a_b >= 0", "condition     = var.a_b <= 1"],
        ),
        (
            {"Type": "CommaDelimitedList", "Default": "x, y"},
            ["type        = list(string)", 'default     = ["x", "y"]'],
        ),
        (
            {"Type": "String", "AllowedValues": ["x"], "AllowedPattern": "^x$"},
            [
                'condition     = contains(["x"], var.a_b)',
                'condition     = can(regex("^x$", var.a_b))',
            ],
        ),
    ],
)
def test_a_variable_has_the_conditions_of_its_parameter(
    parameter: dict[str, Any], lines: list[str]
) -> None:
    text = variable("aB", {"Description": "D.", **parameter})
    assert [line for line in lines if line not in text] == []
    assert ("default" in text) == ("Default" in parameter)


def test_a_type_that_the_module_lacks_is_an_error() -> None:
    with pytest.raises(KeyError, match="List<String>"):
        variable("A", {"Description": "D.", "Type": "List<String>"})


def test_an_output_with_a_condition_may_be_absent() -> None:
    assert 'outputs, "TokenUrl", null)' in output(
        "TokenUrl", {"Description": "D.", "Condition": "C"}
    )


def test_the_readme_names_variables_that_exist() -> None:
    readme = Path(MODULE / "README.md").read_text()
    block = readme.partition('module "orderflow" {')[2].partition("\n}")[0]
    used = set(re.findall(r"^  (\w+) +=", block, re.MULTILINE)) - {"source"}
    known = {snake_case(name) for name in BODY.parameters} | {"stack_name", "template_url", "tags"}
    assert used
    assert used <= known
