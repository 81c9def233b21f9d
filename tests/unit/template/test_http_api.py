"""The HTTP API of a template: its CORS configuration is read, or refused with the path."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.local.stack_loader import load
from infra.local.template.errors import TemplateError
from infra.local.template.project import TEMPLATE
from infra.local.template.stack import Cors, Stack
from tests.fakes.runtime import ONE_STEP, WAITS
from tests.fakes.runtime import TEMPLATE as SMALL

PARAMETERS = """
  Origins: {Type: CommaDelimitedList, Default: "https://a.example, https://b.example:8443"}
  Age: {Type: Number, Default: 60}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "flow.asl.yaml").write_text(yaml.safe_dump(ONE_STEP))
    (tmp_path / "sub_flow.asl.yaml").write_text(yaml.safe_dump(WAITS))
    return tmp_path


def stack(folder: Path, *apis: dict[str, Any]) -> Stack:
    """Return the stack of a template whose HTTP APIs have these properties."""
    resources = {
        f"Api{number}": {"Type": "AWS::Serverless::HttpApi", "Properties": properties}
        for number, properties in enumerate(apis)
    }
    text = SMALL.replace("Parameters:\n", f"Parameters:{PARAMETERS}", 1)
    lines = yaml.safe_dump({"Resources": resources}).splitlines()[1:]
    path = folder / "template.yaml"
    path.write_text(text + "\n".join(lines) + "\n")
    return load(path, {}, lambda _, value: value)


def cors(folder: Path, configured: Any) -> Cors | None:
    """Return a CORS configuration as it is read."""
    return stack(folder, {"CorsConfiguration": configured}).cors


def test_the_shipped_template_allows_the_origins_of_its_parameter() -> None:
    parameters = {"CorsOrigins": "http://localhost:3000,https://shop.example"}
    shipped = load(TEMPLATE, parameters, lambda _, value: value)
    assert shipped.cors == Cors(
        origins=("http://localhost:3000", "https://shop.example"),
        methods=("GET", "PATCH", "POST"),
        headers=("authorization", "content-type", "idempotency-key"),
        max_age=3600,
    )


def test_the_shipped_template_has_the_scope_of_each_route() -> None:
    shipped = load(TEMPLATE, {}, lambda _, value: value)
    scopes = {(route.method, route.path): (route.scopes, route.public) for route in shipped.routes}
    assert scopes == {
        ("GET", "/health"): ((), True),
        ("POST", "/orders"): (("orders/write",), False),
        ("GET", "/orders"): (("orders/read",), False),
        ("GET", "/orders/{order_id}"): (("orders/read",), False),
        ("GET", "/orders/{order_id}/events"): (("orders/read",), False),
        ("GET", "/events/{event_id}"): (("orders/read",), False),
        ("PATCH", "/orders/{order_id}"): (("orders/write",), False),
        ("POST", "/orders/{order_id}/cancel"): (("orders/write",), False),
        ("POST", "/orders/{order_id}/approve"): (("orders/operate",), False),
        ("POST", "/orders/{order_id}/reject"): (("orders/operate",), False),
        ("GET", "/approvals/{order_id}"): ((), True),
        ("POST", "/approvals/{order_id}"): ((), True),
    }


def test_every_property_is_read_and_references_are_resolved(folder: Path) -> None:
    configured = {
        "AllowOrigins": {"Ref": "Origins"},
        "AllowMethods": ["GET", "*"],
        "AllowHeaders": ["x-own"],
        "ExposeHeaders": ["location"],
        "MaxAge": {"Ref": "Age"},
        "AllowCredentials": "true",
    }
    assert cors(folder, configured) == Cors(
        origins=("https://a.example", "https://b.example:8443"),
        methods=("GET", "*"),
        headers=("x-own",),
        exposed=("location",),
        max_age=60,
        credentials=True,
    )


@pytest.mark.parametrize(
    ("configured", "expected"),
    [
        (True, Cors(origins=("*",))),
        (False, None),
        ({}, Cors()),
        ({"AllowOrigins": ["*"]}, Cors(origins=("*",))),
        ({"AllowOrigins": ["https://*"]}, Cors(origins=("https://*",))),
        ({"MaxAge": -1}, Cors(max_age=-1)),
    ],
)
def test_a_configuration_may_be_a_boolean_or_partial(
    folder: Path, configured: Any, expected: Cors | None
) -> None:
    assert cors(folder, configured) == expected


def test_an_api_without_a_configuration_has_no_cors(folder: Path) -> None:
    assert stack(folder, {}).cors is None
    assert stack(folder, {"DefaultRouteSettings": {"ThrottlingRateLimit": 5}}).cors is None


@pytest.mark.parametrize(
    ("configured", "place"),
    [
        ({"AllowOrigin": ["*"]}, "AllowOrigin"),
        ({"allowOrigins": ["*"]}, "allowOrigins"),
        ({"AllowOrigins": ["shop.example"]}, "AllowOrigins"),
        ({"AllowOrigins": ["null"]}, "AllowOrigins"),
        ({"AllowOrigins": 5}, "AllowOrigins"),
        ({"AllowMethods": [5]}, "AllowMethods"),
        ({"AllowOrigins": ["*"], "AllowCredentials": True}, "AllowCredentials"),
        ({"AllowCredentials": "maybe"}, "AllowCredentials"),
        ({"MaxAge": "long"}, "MaxAge"),
        ({"MaxAge": 86_401}, "MaxAge"),
        ({"MaxAge": -2}, "MaxAge"),
        ({"MaxAge": True}, "MaxAge"),
        ({"AllowOrigins": {"Fn::If": ["A", "*", "*"]}}, "AllowOrigins"),
        ({"AllowOrigins": {"Ref": "Nothing"}}, "AllowOrigins"),
        ("https://shop.example", ""),
        (["*"], ""),
    ],
)
def test_an_invalid_configuration_is_refused_with_its_path(
    folder: Path, configured: Any, place: str
) -> None:
    with pytest.raises(TemplateError) as refused:
        cors(folder, configured)
    within = "Resources.Api0.Properties.CorsConfiguration"
    assert refused.value.place == (f"{within}.{place}" if place else within)
    assert refused.value.problem


def test_another_property_of_the_api_is_refused_by_name(folder: Path) -> None:
    with pytest.raises(TemplateError, match=r"Api0\.Properties\.DefinitionBody: is not supported"):
        stack(folder, {"DefinitionBody": {}})


def test_one_machine_has_one_configuration(folder: Path) -> None:
    api = {"CorsConfiguration": True}
    with pytest.raises(TemplateError, match="is a second HTTP API's; one machine has one"):
        stack(folder, api, api)
