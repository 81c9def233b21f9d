"""The rehearsal's removals and alterations of the template."""

from typing import Any

from infra.local.platform import TEMPLATE
from tests.rehearsal.template import adapted, parameters, patient, read, reason, references

DEFINITIONS = {
    "workflows/order_processing.asl.yaml": "s3://packages/order_processing.asl.yaml",
    "workflows/order_recovery.asl.yaml": "s3://packages/order_recovery.asl.yaml",
}


def _adapted() -> tuple[dict[str, Any], dict[str, str]]:
    return adapted(read(TEMPLATE), "s3://packages/package", DEFINITIONS)


def test_only_listed_kinds_are_removed_with_all_references() -> None:
    before = read(TEMPLATE)["Resources"]
    body, out = _adapted()
    assert set(before) - set(body["Resources"]) == set(out)
    assert all(reason(kind) for kind in out.values())
    assert not set(references([body["Resources"], body["Outputs"]])) & set(out)


def test_resources_that_process_orders_are_not_removed() -> None:
    _, out = _adapted()
    kinds = {kind.split("::")[1] for kind in out.values()}
    assert kinds <= {"Athena", "ApplicationInsights", "CloudWatch", "EventSchemas", "Events",
                     "Serverless", "XRay"}  # fmt: skip
    assert "AWS::Events::Rule" not in out.values()
    assert "AWS::Serverless::Function" not in out.values()


def test_parameters_are_of_the_template() -> None:
    declared = read(TEMPLATE)["Parameters"]
    for name, value in parameters().items():
        assert value in declared[name]["AllowedValues"]


def test_the_original_template_is_not_changed() -> None:
    template = read(TEMPLATE)
    adapted(template, "s3://packages/package", DEFINITIONS)
    assert "Architectures" in template["Globals"]["Function"]
    assert template["Globals"]["Function"].get("CodeUri") != "s3://packages/package"


def test_tasks_in_branches_get_longer_timeouts_too() -> None:
    task = {"Type": "Task", "TimeoutSeconds": 10}
    inner: Any = {"States": {"B": dict(task)}}
    machine: Any = {"States": {"A": dict(task), "P": {"Type": "Parallel", "Branches": [inner]}}}
    patient(machine)
    assert machine["States"]["A"]["TimeoutSeconds"] == inner["States"]["B"]["TimeoutSeconds"] == 60
