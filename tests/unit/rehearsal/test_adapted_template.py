"""The rehearsal's removals and alterations of the template."""

from typing import Any

from infra.local.template.project import TEMPLATE
from tests.rehearsal.template import adapted, parameters, read, reason, references

DEFINITIONS = {
    "workflows/order_processing.asl.yaml": "s3://packages/order_processing.asl.yaml",
    "workflows/order_recovery.asl.yaml": "s3://packages/order_recovery.asl.yaml",
    "workflows/order_approval.asl.yaml": "s3://packages/order_approval.asl.yaml",
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
                     "Logs", "Serverless", "StepFunctions", "XRay"}  # fmt: skip
    assert "AWS::StepFunctions::StateMachine" not in out.values()
    assert "AWS::Logs::LogGroup" not in out.values()
    assert "AWS::Events::Rule" not in out.values()
    assert "AWS::Serverless::Function" not in out.values()


def test_an_alias_becomes_its_state_machine() -> None:
    body, _ = _adapted()
    [target] = body["Resources"]["OrderCreatedRule"]["Properties"]["Targets"]
    assert target["Arn"] == {"Ref": "OrderProcessing"}
    recovery = body["Resources"]["OrderRecovery"]["Properties"]["DefinitionSubstitutions"]
    assert recovery["OrderProcessingArn"]["Fn::Sub"][0].endswith(":stateMachine:${Name}")


def test_the_concurrency_of_a_consumer_is_a_number() -> None:
    body, _ = _adapted()
    wanted = [
        source["Properties"]["ScalingConfig"]["MaximumConcurrency"]
        for resource in body["Resources"].values()
        for source in resource["Properties"].get("Events", {}).values()
        if source["Type"] == "SQS"
    ]
    assert sorted(wanted) == [2, 2, 10, 10]


def test_parameters_are_of_the_template() -> None:
    declared = read(TEMPLATE)["Parameters"]
    for name, value in parameters().items():
        assert value in declared[name]["AllowedValues"]


def test_the_original_template_is_not_changed() -> None:
    template = read(TEMPLATE)
    adapted(template, "s3://packages/package", DEFINITIONS)
    assert "Architectures" in template["Globals"]["Function"]
    assert template["Globals"]["Function"].get("CodeUri") != "s3://packages/package"


def test_the_console_has_a_package_of_its_own() -> None:
    own = read(TEMPLATE)["Resources"]["ConsoleFunction"]["Properties"]["CodeUri"]
    body, _ = adapted(
        read(TEMPLATE), "s3://packages/package", {**DEFINITIONS, own: "s3://packages/console"}
    )
    codes = {
        name: resource["Properties"].get("CodeUri")
        for name, resource in body["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }
    assert codes.pop("ConsoleFunction") == "s3://packages/console"
    assert set(codes.values()) == {None}
    assert body["Globals"]["Function"]["CodeUri"] == "s3://packages/package"
