"""Conditions of a template, and the values that they choose."""

from pathlib import Path
from typing import Any

import pytest

from infra.local.template.loader import Template, TemplateError

WRITTEN = """
Parameters:
  Stage: {Type: String, Default: dev}
Conditions:
  Dev: !Equals [!Ref Stage, dev]
  Prod: !Not [!Condition Dev]
  Both: !And [!Condition Dev, !Condition Prod]
  Either: !Or [!Condition Both, !Equals [a, a]]
  Loop: !Not [!Condition Loop]
  Odd: !FindInMap [a, b, c]
Resources:
  Thing:
    Type: A::B::C
    Properties: {Size: !If [Prod, 1, !Ref "AWS::NoValue"]}
"""


def read(folder: Path, **parameters: str) -> Template:
    path = folder / "template.yaml"
    path.write_text(WRITTEN)
    return Template(path, parameters, lambda *_: {})


def when(name: str, yes: Any = "yes", no: Any = "no") -> dict[str, Any]:
    return {"Fn::If": [name, yes, no]}


@pytest.mark.parametrize(
    ("stage", "met"),
    [("dev", {"Dev", "Either"}), ("prod", {"Prod", "Either"})],
)
def test_a_condition_chooses_its_value(folder: Path, stage: str, met: set[str]) -> None:
    template = read(folder, Stage=stage)
    for name in ("Dev", "Prod", "Both", "Either"):
        assert template.resolve(when(name), "Here") == ("yes" if name in met else "no"), name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_the_chosen_value_is_resolved_and_may_choose_again(folder: Path) -> None:
    template = read(folder)
    nested = when("Dev", when("Prod", 1, [{"Ref": "Stage"}]))
    assert template.resolve(nested, "Here") == ["dev"]


def test_no_value_leaves_out_its_property_its_entry_and_its_key(folder: Path) -> None:
    template, nothing = read(folder), when("Prod", 1, {"Ref": "AWS::NoValue"})
    assert template.resolve({"a": nothing, "b": [nothing, 2]}, "Here") == {"b": [2]}
    [(_, _, get)] = template.properties("A::B::C", {"Size"}, set())
    assert get("Size", 7) == 7


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("Loop", "the condition Loop refers to itself"),
        ("Odd", "is not supported as a condition on one machine"),
        ("None", "'None', which the template does not have"),
    ],
)
def test_a_malformed_condition_is_refused_with_its_place(
    folder: Path, name: str, problem: str
) -> None:
    with pytest.raises(TemplateError, match=problem) as refused:
        read(folder).resolve({"a": when(name)}, "Here")
    assert refused.value.place == "Here.a"
