"""The product's profile: it fits the shipped template, and a template without its names fails."""

import re
from pathlib import Path
from typing import Any

import pytest

from infra.local.directory.data_directory import DataDirectory
from infra.local.orderflow import ORDERFLOW, RECONCILER, order_id_in
from infra.local.platform import platform, stack_of
from infra.local.template.errors import TemplateError
from infra.local.template.project import TEMPLATE


def test_the_shipped_template_has_the_resources_of_the_profile(tmp_path: Path) -> None:
    stack = stack_of(DataDirectory(tmp_path))
    assert {ORDERFLOW.outbox_dead_letters, ORDERFLOW.held_orders} <= {*stack.dead_letter_queues}
    assert RECONCILER in {schedule.function for schedule in stack.schedules}
    started = [
        target.name
        for rule in stack.rules
        if rule.name.startswith("OrderCreated")
        for target in rule.targets
        if target.kind == "machine"
    ]
    assert started == [ORDERFLOW.order_machine]


def test_a_template_without_a_resource_of_the_profile_is_refused(tmp_path: Path) -> None:
    text = re.sub(r"\bAttentionQueue\b(?!Url)", "OtherQueue", TEMPLATE.read_text())
    for folder in ("workflows", "services"):
        (tmp_path / folder).symlink_to(TEMPLATE.parent / folder)
    (tmp_path / "template.yaml").write_text(text)
    opened = platform(DataDirectory(tmp_path / "data"), template=tmp_path / "template.yaml")
    with pytest.raises(TemplateError, match="has no AttentionQueue"), opened:
        pass
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("document", "order_id"),
    [
        ({"order_id": "A-1"}, "A-1"),
        ({"detail": {"order_id": "A-1"}}, "A-1"),
        ({"resume": {"order_id": "A-1"}}, "A-1"),
        ({"order_id": 1}, None),
        ({"detail": "A-1"}, None),
        (["A-1"], None),
        (None, None),
    ],
)
def test_an_order_id_is_found_in_events_and_inputs(document: Any, order_id: str | None) -> None:
    assert order_id_in(document) == order_id
