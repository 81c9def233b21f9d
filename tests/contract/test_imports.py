"""Modules that a handler must not import at its start: each lengthens every cold start."""

import json
import os
import re
import subprocess
import sys
from functools import cache

import pytest

from infra.local.template.loader import Template
from infra.queries.athena import TEMPLATE
from tests.contract.test_template import FUNCTIONS, actions, named

ROOT = TEMPLATE.parent
HANDLERS = sorted(
    properties["Handler"].removesuffix(".handler")
    for _, properties in Template(TEMPLATE, {}, lambda *_: {}).of_type("AWS::Serverless::Function")
)

NEVER = {
    "boto3": "the first call makes its client (lambda_support.aws)",
    "botocore.session": "as boto3; Powertools imports the bare package, half a millisecond",
    "aws_xray_sdk": "a sampled invocation imports it (lambda_support.observability)",
    "duckdb": "a warehouse imports it; on AWS there is Athena",
    "sqlite3": "a store imports it; on AWS there is DynamoDB",
    "infra": "services know nothing of who hosts them",
}

OPTIONAL = {"orjson"}
"""Optional packages, which Lambda does not have: the layer leaves them out."""


@cache
def loaded(handler: str) -> frozenset[str]:
    """Return the modules of an interpreter without `OPTIONAL` that imported this handler alone."""
    absent = f"import sys; sys.modules.update(dict.fromkeys({sorted(OPTIONAL)}))"
    return modules_after(f"{absent}; import {handler}")


MODULES = "print(json.dumps([name for name, module in sys.modules.items() if module]))"


def modules_after(program: str, **environment: str) -> frozenset[str]:
    """Return the modules of a new interpreter at the end of a program."""
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "services")}
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport json, sys; {MODULES}"],
        env=bare | environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return frozenset(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("module", NEVER)
def test_a_handler_starts_without(module: str, handler: str) -> None:
    assert module not in loaded(handler), NEVER[module]


@pytest.mark.parametrize("handler", HANDLERS)
def test_only_the_api_imports_the_http_resolver(handler: str) -> None:
    resolver = "aws_lambda_powertools.event_handler" in loaded(handler)
    assert resolver == (handler == "orders.handlers.api")


@pytest.mark.parametrize("handler", HANDLERS)
def test_the_imports_of_a_handler_are_in_the_layer(handler: str) -> None:
    requirements = (ROOT / "infra/layer/requirements.txt").read_text(encoding="utf-8")
    pins = re.findall(r"^([a-z0-9-]+)==", requirements, re.MULTILINE)
    layer = {pin.replace("-", "_") for pin in pins}
    own = {path.name for path in (ROOT / "services").iterdir()}
    packages = {name.partition(".")[0] for name in loaded(handler) - loaded("json")}
    foreign = {name for name in packages if not name.startswith("_sysconfigdata")}
    assert foreign - sys.stdlib_module_names <= layer | own | {"botocore"} | OPTIONAL


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_handler_starts_without_the_optional_packages(handler: str) -> None:
    assert handler in loaded(handler)
    assert not OPTIONAL & loaded(handler)


CALL = """
from types import SimpleNamespace
from lambda_support.observability import instrumented

context = SimpleNamespace(function_name="f", aws_request_id="r")
assert instrumented(lambda event, context: event["order_id"])({"order_id": "A-1"}, context) == "A-1"
"""
TRACE = "Root=1-6924a1b0-0123456789abcdef01234567;Parent=0123456789abcdef;"


@pytest.mark.parametrize(
    ("tracing", "header", "traced"),
    [
        ("xray", "Sampled=1", True),
        ("xray", "Sampled=0", False),
        ("xray", "", False),
        ("otel", "Sampled=1", False),
        ("none", "Sampled=1", False),
    ],
)
def test_only_a_sampled_invocation_imports_the_tracer_of_x_ray(
    tracing: str, header: str, *, traced: bool
) -> None:
    known = modules_after(
        CALL, TRACING=tracing, _X_AMZN_TRACE_ID=TRACE + header, LAMBDA_TASK_ROOT="/var/task"
    )
    assert ("aws_xray_sdk" in known) == traced


TRACED = """
from aws_xray_sdk.core.models.entity import Entity

kept = []
Entity.put_metadata = lambda self, key, value, namespace="": kept.append((key, value))
"""


def test_a_trace_has_no_answer_of_a_handler() -> None:
    """An answer has personal data, and a page of the hosted console the cookie of a session."""
    modules_after(
        f"{TRACED}{CALL}assert not kept, kept",
        TRACING="xray",
        _X_AMZN_TRACE_ID=f"{TRACE}Sampled=1",
        LAMBDA_TASK_ROOT="/var/task",
    )


@pytest.mark.parametrize("tracing", ["xray", "otel", "none"])
def test_no_tracing_imports_opentelemetry(tracing: str) -> None:
    """The layer imports it before the handler; without the layer it does not exist."""
    known = modules_after(CALL, TRACING=tracing, LAMBDA_TASK_ROOT="/var/task")
    assert not [name for name in known if name.partition(".")[0] == "opentelemetry"]


LAYER = """
import sys, types

named, api = {}, types.ModuleType("opentelemetry.trace")
api.get_current_span = lambda: types.SimpleNamespace(set_attribute=named.__setitem__)
sys.modules["opentelemetry.trace"] = api
"""


@pytest.mark.parametrize(
    ("tracing", "named"), [("otel", {"orderflow.order_id": "A-1"}), ("xray", {}), ("none", {})]
)
def test_the_span_of_the_layer_has_the_id_of_its_order(tracing: str, named: dict[str, str]) -> None:
    modules_after(f"{LAYER}{CALL}assert named == {named!r}, named", TRACING=tracing)


@pytest.mark.parametrize("module", ["pydantic", "infra.asl", "email.mime.multipart", "boto3"])
def test_orders_show_does_not_import_unused_modules(module: str) -> None:
    here = f"import sys; sys.path.append({str(ROOT)!r}); import infra.cli.commands.show"
    assert module not in modules_after(here)


CLIENTS = {
    "dynamodb": "dynamodb",
    "ses": "sesv2",
    "events": "events",
    "states": "stepfunctions",
    "athena": "athena",
}
"""Names of boto3's clients by the service of an action in a role."""

SELDOM = {"ReconcileFunction": {"events", "states", "athena"}}
"""Services that a function calls only if something was lost."""


@pytest.mark.parametrize("function", FUNCTIONS)
def test_lambda_makes_the_clients_of_a_function_in_its_init_phase(function: str) -> None:
    """A call has a seventh of the init phase's vCPU (`lambda_support.init_phase`)."""
    handler = FUNCTIONS[function]["Handler"].removesuffix(".handler")
    role = named(FUNCTIONS[function]["Role"])
    needed = {
        client
        for service, client in CLIENTS.items()
        if actions(role, service) and service not in SELDOM.get(function, ())
    }
    known = modules_after(
        f"import {handler}; import boto3; from lambda_support import aws;"
        f" boto3.client = None; [aws.client(name) for name in {sorted(needed)}]",
        **environment(function),
        AWS_LAMBDA_INITIALIZATION_TYPE="on-demand",
        AWS_DEFAULT_REGION="us-east-1",
    )
    assert handler in known


@pytest.mark.parametrize("handler", ["orders.handlers.relay", "orders.handlers.validate_order"])
def test_an_invalid_setting_is_left_to_the_first_call(handler: str) -> None:
    """An error of the init phase ends the environment, and no handler logs it."""
    assert handler in modules_after(f"import {handler}", AWS_LAMBDA_INITIALIZATION_TYPE="on-demand")


def environment(function: str) -> dict[str, str]:
    """Return the environment variables of a function on AWS."""
    attributes = {"Ref": "x", "Arn": "arn:x"}
    template = Template(TEMPLATE, {}, lambda *_: attributes)
    own = template.resources[function]["Properties"]["Environment"]["Variables"]
    shared = template.globals["Function"]["Environment"]["Variables"]
    resolved = template.resolve({**shared, **own}, function)
    return {name: str(value) for name, value in resolved.items()}
