"""Read the CORS configuration of a template's HTTP API."""

from collections.abc import Mapping
from typing import Any

from infra.local.template.errors import TemplateError
from infra.local.template.loader import Template, refuse_others
from infra.local.template.stack import Cors, Stack

INERT = {
    "AccessLogSettings",
    "Auth",
    "DefaultRouteSettings",
    "Description",
    "DisableExecuteApiEndpoint",
    "FailOnWarnings",
    "Name",
    "PropagateTags",
    "RouteSettings",
    "Tags",
}
"""Properties without effect on one machine; ``orders serve`` has its own tokens."""

MAX_AGE = 86_400
"""Maximum seconds that a browser may cache a preflight response (API Gateway V2 API, Cors)."""

_FIELDS = {
    "AllowOrigins": "origins",
    "AllowMethods": "methods",
    "AllowHeaders": "headers",
    "ExposeHeaders": "exposed",
}
_SCHEMES = ("https://", "http://")


def read_http_api(template: Template, stack: Stack) -> None:
    """Add the CORS configuration of a template's HTTP API to a stack.

    Raises
    ------
    TemplateError
        A property is not supported on one machine, or is invalid for API Gateway.
    """
    kind = "AWS::Serverless::HttpApi"
    for _, place, get in template.properties(kind, {"CorsConfiguration"}, INERT):
        configured = get("CorsConfiguration")
        if configured is None:
            continue
        at = f"{place}.CorsConfiguration"
        if stack.cors is not None:
            raise TemplateError(at, "is a second HTTP API's; one machine has one")
        stack.cors = _cors(configured, at)


def _cors(configured: Any, place: str) -> Cors | None:
    """Return a CORS configuration; ``true`` allows every origin, ``false`` none (SAM, HttpApi)."""
    if isinstance(configured, bool | str):
        allowed = _switch(configured, place)
        return Cors(origins=("*",)) if allowed else None
    if not isinstance(configured, Mapping):
        raise TemplateError(place, "is neither true, false, nor an object")
    refuse_others(configured, {*_FIELDS, "MaxAge", "AllowCredentials"}, place)
    lists = {
        field: _list(configured[key], f"{place}.{key}")
        for key, field in _FIELDS.items()
        if key in configured
    }
    if "origins" in lists:
        lists["origins"] = _origins(lists["origins"], f"{place}.AllowOrigins")
    credentials = _switch(configured.get("AllowCredentials", False), f"{place}.AllowCredentials")
    cors = Cors(
        **lists,
        max_age=_age(configured.get("MaxAge"), f"{place}.MaxAge"),
        credentials=credentials,
    )
    if cors.credentials and cors.allows_all:
        problem = "is not allowed with the origin *; name the origins"
        raise TemplateError(f"{place}.AllowCredentials", problem)
    return cors


def _list(value: Any, place: str) -> tuple[str, ...]:
    """Return a list of texts; the value of a list parameter is text with commas."""
    entries = value.split(",") if isinstance(value, str) else value
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise TemplateError(place, "is not a list of texts")
    return tuple(entry.strip() for entry in entries if entry.strip())


def _origins(origins: tuple[str, ...], place: str) -> tuple[str, ...]:
    for origin in origins:
        if origin != "*" and not origin.lower().startswith(_SCHEMES):
            problem = f"{origin!r} is no origin; write one such as https://shop.example.com"
            raise TemplateError(place, problem)
    return tuple(origin.lower() for origin in origins)


def _switch(value: Any, place: str) -> bool:
    switch = {"true": True, "false": False}.get(str(value).lower())
    if switch is None:
        raise TemplateError(place, f"{value!r} is neither true nor false")
    return switch


def _age(value: Any, place: str) -> int | None:
    if value is None:
        return None
    try:
        age = int(value)
    except (TypeError, ValueError):
        age = -2
    if isinstance(value, bool) or not -1 <= age <= MAX_AGE:
        raise TemplateError(place, f"{value!r} is not a number from -1 to {MAX_AGE}")
    return age
