"""The tables of the template's reader, and the engine's classes."""

from infra.local.engine.integrations import INTEGRATIONS
from infra.local.engine.targets import TARGETS
from infra.local.stack_loader import SUPPORTED


def test_the_engine_has_each_kind_of_target_that_a_template_may_have() -> None:
    kinds = [kind.kind for kind in SUPPORTED.targets.values()]
    assert sorted(kinds) == sorted(target.kind for target in TARGETS)


def test_the_engine_has_each_integration_that_a_workflow_may_call() -> None:
    names = [integration.name for integration in INTEGRATIONS]
    assert sorted(SUPPORTED.integrations) == sorted(names)
