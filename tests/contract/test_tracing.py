"""The parameter Tracing: what each of its values sets on the functions and the workflows."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from infra.local.template.loader import Template
from infra.queries.athena import TEMPLATE
from infra.telemetry.spans import ORDER_ID
from lambda_support import observability
from tests.contract.test_template import BODY, GLOBALS, ROLES, listed, statements

LAYER = "arn:aws:lambda:eu-west-1:123456789012:layer:AWSOpenTelemetryDistroPython:19"
ENDPOINT = "https://xray.eu-west-1.amazonaws.com/v1/traces"
OTEL = {"OpenTelemetryLayer": LAYER, "OpenTelemetryEndpoint": ENDPOINT}
MET = {"xray": {"Traced"}, "otel": {"OpenTelemetry"}, "none": set[str]()}
SEGMENTS = {"xray:PutTelemetryRecords", "xray:PutTraceSegments"}
SAMPLING = {"xray:GetSamplingRules", "xray:GetSamplingTargets"}


def template(tracing: str, **others: str) -> Template:
    chosen = {"Tracing": tracing, **(OTEL if tracing == "otel" else {}), **others}
    attributes = {"Ref": "x", "Arn": "arn:x"}
    return Template(TEMPLATE, chosen, lambda *_: attributes)


def of_functions(tracing: str, field: str, **others: str) -> Any:
    found = template(tracing, **others)
    return found.resolve(found.globals["Function"][field], field)


def variables(tracing: str) -> dict[str, Any]:
    found: dict[str, Any] = of_functions(tracing, "Environment")["Variables"]
    return found


@pytest.mark.parametrize("tracing", MET)
@pytest.mark.parametrize("sampling", ["0", "0.05"])
def test_a_value_meets_its_conditions(tracing: str, sampling: str) -> None:
    found = template(tracing, TraceSampling=sampling)
    met = {
        name
        for name in BODY["Conditions"]
        if name in {"Traced", "OpenTelemetry"}
        and found.resolve({"Fn::If": [name, True, False]}, name)
    }
    assert met == (MET[tracing] - ({"Traced"} if sampling == "0" else set()))


@pytest.mark.parametrize(
    ("tracing", "mode"), [("xray", "Active"), ("otel", "PassThrough"), ("none", "PassThrough")]
)
def test_lambda_traces_for_x_ray_alone(tracing: str, mode: str) -> None:
    assert of_functions(tracing, "Tracing") == mode


@pytest.mark.parametrize("tracing", MET)
def test_workflows_trace_for_x_ray_alone(tracing: str) -> None:
    found = template(tracing)
    machines = dict(found.of_type("AWS::Serverless::StateMachine"))
    assert machines
    for machine in machines.values():
        enabled = found.resolve(machine["Tracing"]["Enabled"], "Tracing")
        assert enabled is (tracing == "xray")


@pytest.mark.parametrize("tracing", MET)
def test_only_otel_has_a_layer_and_a_wrapper(tracing: str) -> None:
    """ADOT, Lambda: the layer, and AWS_LAMBDA_EXEC_WRAPPER."""
    layers, environment = of_functions(tracing, "Layers"), variables(tracing)
    assert environment["TRACING"] == tracing
    if tracing != "otel":
        assert layers == ["x"]
        assert not [name for name in environment if name.startswith(("OTEL_", "AWS_LAMBDA_"))]
        return
    assert layers == [LAYER, "x"], "the last layer's files stay: those of our lock"
    assert {
        name: environment[name] for name in environment if name.startswith(("OTEL_", "AWS_"))
    } == {
        "AWS_LAMBDA_EXEC_WRAPPER": "/opt/otel-instrument",
        "OTEL_AWS_APPLICATION_SIGNALS_ENABLED": "false",
        "OTEL_PYTHON_DISTRO": "aws_distro",
        "OTEL_PYTHON_CONFIGURATOR": "aws_configurator",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": ENDPOINT,
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        "OTEL_PROPAGATORS": "tracecontext",
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.05",
    }


def test_no_function_has_layers_or_tracing_of_its_own() -> None:
    """SAM appends a function's layers and replaces its tracing."""
    for name, resource in BODY["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            assert not resource["Properties"].keys() & {"Layers", "Tracing"}, name
    assert GLOBALS["Layers"][1] == {"Ref": "DependenciesLayer"}


def functions_roles() -> Iterator[str]:
    for name, role in ROLES.items():
        [trusted] = role["AssumeRolePolicyDocument"]["Statement"]
        if trusted["Principal"] == {"Service": "lambda.amazonaws.com"}:
            yield name


def tracing_grants(role: str, tracing: str) -> set[str]:
    """Return the X-Ray actions of a role, which have no resource."""
    found = set()
    for statement in statements(role, MET[tracing]):
        actions = {action for action in listed(statement["Action"]) if action.startswith("xray:")}
        assert not actions or statement["Resource"] == "*"
        found |= actions
    return found


@pytest.mark.parametrize("role", list(functions_roles()))
def test_a_function_may_write_traces_where_its_tracer_does(role: str) -> None:
    assert tracing_grants(role, "xray") == SEGMENTS
    assert tracing_grants(role, "otel") == {"xray:PutTraceSegments"}
    assert tracing_grants(role, "none") == set()


@pytest.mark.parametrize("role", ["OrderProcessingRole", "OrderRecoveryRole"])
def test_a_workflow_may_write_traces_for_x_ray_alone(role: str) -> None:
    assert tracing_grants(role, "xray") == SEGMENTS | SAMPLING
    assert tracing_grants(role, "otel") == tracing_grants(role, "none") == set()


def test_otel_without_its_layer_or_its_address_is_refused() -> None:
    rule = BODY["Rules"]["OpenTelemetry"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "Tracing"}, "otel"]}
    refused = [entry["Assert"] for entry in rule["Assertions"]]
    assert refused == [{"Fn::Not": [{"Fn::Equals": [{"Ref": name}, ""]}]} for name in OTEL]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        (
            "OpenTelemetryLayer",
            ["", LAYER, LAYER.replace("arn:aws:", "arn:aws-us-gov:")],
            ["AWSOpenTelemetryDistroPython", LAYER.rpartition(":")[0]],
        ),
        (
            "OpenTelemetryEndpoint",
            ["", ENDPOINT, "http://10.0.0.1:4318/v1/traces"],
            ["localhost:4318", "https://h/?token=x", "https://a b"],
        ),
    ],
)
def test_a_malformed_value_is_refused(name: str, good: list[str], bad: list[str]) -> None:
    pattern = BODY["Parameters"][name]["AllowedPattern"]
    assert all(re.search(pattern, text) for text in good)
    assert not any(re.search(pattern, text) for text in bad)


@pytest.mark.parametrize("tracing", MET)
def test_each_value_runs_on_one_machine(tracing: str) -> None:
    from infra.local.stack_loader import load

    chosen = {"Tracing": tracing, **(OTEL if tracing == "otel" else {})}
    stack = load(TEMPLATE, chosen, lambda _, value: value)
    assert {one.variables["TRACING"] for one in stack.functions.values()} == {tracing}


def test_an_order_has_one_attribute_here_and_on_aws() -> None:
    assert ORDER_ID == observability.ORDER_ID
