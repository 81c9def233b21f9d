"""Conditions of a template: `Fn::If`, `AWS::NoValue` and the condition functions."""

from pathlib import Path
from typing import Any

import pytest

from infra.local.template.errors import TemplateError
from infra.local.template.loader import Template

TEXT = """
Parameters:
  Stage: {Type: String, Default: dev, AllowedValues: [dev, staging, prod]}
  Size: {Type: Number, Default: 0}
Conditions:
  Dev: !Equals [!Ref Stage, dev]
  Prod: !Equals [prod, !Ref Stage]
  Lasting: !Not [!Condition Dev]
  Sized: !Not [!Equals [!Ref Size, 0]]
  LargeProd: !And [!Condition Prod, !Condition Sized]
  Either: !Or [!Condition Prod, !Condition Sized]
  Own: !Equals [!Ref AWS::Partition, aws]
  Truth: !Equals [true, "true"]
  Circle: !Not [!Condition Circle]
  Malformed: {Fn::Equals: [a, a], Fn::Not: [x]}
  Unknown: {Fn::Contains: [[a], a]}
Resources:
  Thing: {Type: Any, Properties: {}}
  Lock: {Type: Any, Condition: Lasting, Properties: {X: !Ref Thing}}
"""


def template(tmp_path: Path, **parameters: str) -> Template:
    path = tmp_path / "template.yaml"
    path.write_text(TEXT)
    return Template(path, parameters, lambda *_: {"Ref": "thing"})


def choose(tmp_path: Path, condition: str, **parameters: str) -> Any:
    value = {"Fn::If": [condition, "yes", "no"]}
    return template(tmp_path, **parameters).resolve(value, "Here")


@pytest.mark.parametrize(
    ("condition", "parameters", "chosen"),
    [
        ("Dev", {}, "yes"),
        ("Dev", {"Stage": "prod"}, "no"),
        ("Prod", {"Stage": "prod"}, "yes"),
        ("Lasting", {}, "no"),
        ("Lasting", {"Stage": "staging"}, "yes"),
        ("Sized", {}, "no"),
        ("Sized", {"Size": "2"}, "yes"),
        ("LargeProd", {"Stage": "prod"}, "no"),
        ("LargeProd", {"Stage": "prod", "Size": "2"}, "yes"),
        ("Either", {"Size": "2"}, "yes"),
        ("Either", {}, "no"),
        ("Own", {}, "yes"),
        ("Truth", {}, "yes"),
    ],
)
def test_a_condition_chooses(
    tmp_path: Path, condition: str, parameters: dict[str, str], chosen: str
) -> None:
    assert choose(tmp_path, condition, **parameters) == chosen


@pytest.mark.parametrize(("stage", "resources"), [("dev", {"Thing"}), ("prod", {"Thing", "Lock"})])
def test_a_resource_is_in_the_stack_if_its_condition_holds(
    tmp_path: Path, stage: str, resources: set[str]
) -> None:
    found = template(tmp_path, Stage=stage)
    assert set(found.resources) == resources
    assert {name for name, _ in found.of_type("Any")} == resources


def test_a_reference_to_a_resource_that_is_not_in_the_stack_is_refused(tmp_path: Path) -> None:
    found = template(tmp_path)
    assert found.resolve({"Fn::If": ["Lasting", {"Ref": "Lock"}, "none"]}, "Here") == "none"
    with pytest.raises(TemplateError, match="Here: refers to 'Lock', which the template does not"):
        found.resolve({"Ref": "Lock"}, "Here")


def test_a_resource_whose_condition_does_not_exist_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text("Resources: {Thing: {Type: Any, Condition: Nothing}}")
    with pytest.raises(TemplateError, match=r"^Resources\.Thing\.Condition: refers to the cond"):
        Template(path, {}, lambda *_: {})


def test_a_chosen_value_is_resolved_and_the_other_one_is_not(tmp_path: Path) -> None:
    value = {"Fn::If": ["Dev", {"Fn::Sub": "x-${Stage}"}, {"Fn::Join": ["", []]}]}
    assert template(tmp_path).resolve(value, "Here") == "x-dev"


def test_no_value_leaves_out_a_property_and_an_entry(tmp_path: Path) -> None:
    absent = {"Fn::If": ["Prod", "x", {"Ref": "AWS::NoValue"}]}
    value = {"a": absent, "b": [absent, "y"], "c": 1}
    assert template(tmp_path).resolve(value, "Here") == {"b": ["y"], "c": 1}


def test_a_property_without_a_value_has_its_default(tmp_path: Path) -> None:
    loaded = template(tmp_path)
    loaded.resources["Thing"]["Properties"]["Size"] = {"Ref": "AWS::NoValue"}
    [(_, _, get)] = loaded.properties("Any", {"Size"}, set())
    assert get("Size", 7) == 7


@pytest.mark.parametrize(
    ("condition", "place", "problem"),
    [
        ("Nothing", "Here", "refers to the condition 'Nothing', which does not exist"),
        ("Circle", "Conditions.Circle", "refers to itself"),
        ("Malformed", "Conditions.Malformed", "is no condition"),
        ("Unknown", "Conditions.Unknown", "Fn::Contains is no condition function"),
    ],
)
def test_a_malformed_condition_is_refused_with_its_place(
    tmp_path: Path, condition: str, place: str, problem: str
) -> None:
    with pytest.raises(TemplateError) as refused:
        choose(tmp_path, condition)
    assert (refused.value.place, refused.value.problem) == (place, problem)
