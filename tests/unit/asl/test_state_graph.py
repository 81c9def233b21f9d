"""The state graph: its layout, its SVG and its Mermaid text."""

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.views.state_graph import layout, mermaid, svg

WORKFLOWS = Path(__file__).parents[3] / "workflows"
LOOP: dict[str, Any] = {
    "StartAt": "A",
    "States": {
        "A": {"Type": "Pass", "Next": "B"},
        "B": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.x", "NumericEquals": 1, "Next": "A"}],
            "Default": "C <&\"'>",
        },
        "C <&\"'>": {"Type": "Succeed"},
    },
}


def workflow(name: str) -> Any:
    return yaml.safe_load((WORKFLOWS / f"{name}.asl.yaml").read_text())


@pytest.mark.parametrize("name", ["order_processing", "order_recovery"])
def test_no_box_overlaps_another_but_its_container(name: str) -> None:
    boxes = [*layout(workflow(name)).all_boxes()]
    for at, one in enumerate(boxes):
        for other in boxes[at + 1 :]:
            inside = other in [box for part in one.parts for box in part.all_boxes()]
            apart = (
                one.x + one.width <= other.x
                or other.x + other.width <= one.x
                or one.y + one.height <= other.y
                or other.y + other.height <= one.y
            )
            assert apart is not inside, (one.node.name, other.node.name)


def test_a_state_is_below_its_predecessors_except_in_a_loop() -> None:
    boxes = layout(LOOP).boxes
    assert boxes["A"].y < boxes["B"].y < boxes["C <&\"'>"].y


@pytest.mark.parametrize("definition", [LOOP, workflow("order_processing")])
def test_the_svg_is_xml_with_each_state_once(definition: Any) -> None:
    root = ET.fromstring(svg(definition, "a & b"))  # noqa: S314 - written by this project
    drawn = [each.get("data-state") for each in root.iter() if each.get("data-state")]
    assert sorted(filter(None, drawn)) == sorted(
        box.node.name for box in layout(definition).all_boxes()
    )


def test_mermaid_has_a_node_for_each_state_and_an_edge_for_each_transition() -> None:
    assert mermaid(LOOP).splitlines() == [
        "flowchart TD",
        '  s0["A"]',
        '  s1{"B"}',
        '  s2(["C #lt;&#quot;\'>"])',
        "  s0 --> s1",
        '  s1 -->|"$.x NumericEquals 1"| s0',
        '  s1 -->|"otherwise"| s2',
    ]


def test_mermaid_draws_branches_in_their_parallel() -> None:
    text = mermaid(workflow("order_processing"))
    assert text.count("subgraph") == text.count("\n  end\n")
    assert "-.->" in text
