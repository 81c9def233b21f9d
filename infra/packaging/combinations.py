"""Values of the template's parameters, so that each pair of values of two parameters occurs once.

All combinations of seventeen parameters are more than a million. Each part of the template depends
on one or two of them, so a fault shows in some pair of values (pairwise testing).
"""

from collections.abc import Iterator, Mapping
from itertools import combinations, product
from typing import Any

FREE: Mapping[str, tuple[str, ...]] = {
    "JwtIssuer": ("", "https://issuer.example.com"),
    "AlarmTopic": ("", "arn:aws:sns:us-east-1:123456789012:alarms"),
    "TraceSampling": ("0.05", "0"),
    "ApiConcurrency": ("0", "2"),
    "OpenTelemetryLayer": ("", "arn:aws:lambda:us-east-1:123456789012:layer:OpenTelemetry:1"),
    "OpenTelemetryEndpoint": ("", "https://xray.us-east-1.amazonaws.com/v1/traces"),
    "PublicUrl": ("", "https://orders.example.com"),
}
"""Values of parameters that decide a condition and have no list of allowed values."""

Pair = frozenset[tuple[str, str]]


def choices(parameters: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the values of each parameter that has a list of them, or is in `FREE`."""
    listed = {
        name: tuple(map(str, one["AllowedValues"]))
        for name, one in parameters.items()
        if "AllowedValues" in one
    }
    return listed | {name: values for name, values in FREE.items() if name in parameters}


def is_deployable(values: Mapping[str, str]) -> bool:
    """Return whether the template's rules accept these values of some of its parameters."""
    stage = values.get("Environment", "dev")
    needed = {"JwtIssuer"} if stage != "dev" else set()
    if stage == "prod":
        needed.add("AlarmTopic")
    if values.get("Tracing") == "otel":
        needed |= {"OpenTelemetryLayer", "OpenTelemetryEndpoint"}
    is_given = all(values.get(name) != "" for name in needed)
    return is_given and (stage, values.get("SandboxInProd")) != ("prod", "no")


def pairwise(parameters: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Yield deployable combinations, in which each deployable pair of values occurs."""
    domains = choices(parameters)
    missing = _pairs_of(domains)
    while missing:
        chosen = dict(min(missing, key=sorted))
        for name, values in domains.items():
            if name not in chosen:
                allowed = [one for one in values if is_deployable({**chosen, name: one})]
                chosen[name] = max(allowed, key=lambda one: _new(chosen, name, one, missing))
        missing -= set(_pairs_in(chosen))
        yield chosen


def _pairs_of(domains: Mapping[str, tuple[str, ...]]) -> set[Pair]:
    """Return the deployable pairs of values of any two parameters."""
    return {
        frozenset(((one, first), (other, second)))
        for one, other in combinations(domains, 2)
        for first, second in product(domains[one], domains[other])
        if is_deployable({one: first, other: second})
    }


def _pairs_in(chosen: Mapping[str, str]) -> Iterator[Pair]:
    return map(frozenset, combinations(chosen.items(), 2))


def _new(chosen: Mapping[str, str], name: str, value: str, missing: set[Pair]) -> int:
    return sum(frozenset(((name, value), other)) in missing for other in chosen.items())
