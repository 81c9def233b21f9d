"""Read the functions of a template and their event sources: queues, routes and schedules."""

from collections.abc import Callable, Mapping
from typing import Any

from infra.local.template.errors import TemplateError
from infra.local.template.loader import ACCOUNT, REGION, Template, refuse_others
from infra.local.template.schedule_expressions import problem_with
from infra.local.template.stack import Consumer, Function, Route, Schedule, Stack

LocalValue = Callable[[str, str], str]
"""``(variable, value) -> value``: the local value of a function's environment variable."""

CONCURRENCY = 5
"""Default number of concurrent batches of a queue.

Source: Lambda Developer Guide, "Configuring scaling behavior for SQS event source mappings".
"""

MIN_CONCURRENCY, MAX_CONCURRENCY = 2, 1_000
"""Bounds of ``MaximumConcurrency`` (AWS Lambda API, ScalingConfig)."""


def read_functions(template: Template, stack: Stack, local_value: LocalValue) -> None:
    """Add a template's functions to a stack, with their consumers, routes and schedules.

    ``local_value`` gives each environment variable its local value.

    Raises
    ------
    TemplateError
        An event source or a property is not supported on one machine.
    """
    inherited = template.globals.get("Function", {})
    run = {"Handler", "Timeout", "MemorySize", "Environment", "Events", "CodeUri"}
    inert = {"Description", "Role", "ReservedConcurrentExecutions", "EventInvokeConfig"}
    inert |= {"ProvisionedConcurrencyConfig"}
    for name, place, get in template.properties("AWS::Serverless::Function", run, inert):
        variables = dict(inherited.get("Environment", {}).get("Variables", {}))
        variables |= (
            template.resources[name]["Properties"].get("Environment", {}).get("Variables", {})
        )
        resolved = template.resolve(variables, f"{place}.Environment.Variables")
        stack.functions[name] = Function(
            name,
            f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}",
            get("Handler"),
            float(get("Timeout", inherited.get("Timeout", 3))),
            int(get("MemorySize", inherited.get("MemorySize", 128))),
            {key: local_value(key, str(value)) for key, value in resolved.items()},
        )
        for event, source in get("Events", {}).items():
            _add_source(stack, name, source, f"{place}.Events.{event}", event)


# The event types of functions, with the properties that are run or inert on one machine.
_SOURCES: Mapping[str, set[str]] = {
    "SQS": {
        "Queue",
        "BatchSize",
        "FunctionResponseTypes",
        "MaximumBatchingWindowInSeconds",
        "ScalingConfig",
    },
    "HttpApi": {"ApiId", "Method", "Path", "Auth"},
    "ScheduleV2": {
        "ScheduleExpression",
        "ScheduleExpressionTimezone",
        "RetryPolicy",
        "DeadLetterConfig",
    },
    "DynamoDB": set(),
}
_ONLY_VALUES = {
    "ScheduleExpressionTimezone": "UTC",
    "FunctionResponseTypes": ["ReportBatchItemFailures"],
}


def _add_source(
    stack: Stack, function: str, source: Mapping[str, Any], place: str, event: str
) -> None:
    kind, properties = str(source.get("Type")), source.get("Properties", {})
    if kind not in _SOURCES:
        raise TemplateError(place, f"event type {kind} is not supported on one machine")
    if kind == "DynamoDB":
        return
    refuse_others(properties, _SOURCES[kind], f"{place}.Properties")
    for key, only in _ONLY_VALUES.items():
        if properties.get(key, only) != only:
            raise TemplateError(f"{place}.Properties.{key}", f"is only {only} on one machine")
    if kind == "SQS":
        queue = properties["Queue"].rsplit(":", 1)[1]
        scaling, where = properties.get("ScalingConfig", {}), f"{place}.Properties.ScalingConfig"
        refuse_others(scaling, {"MaximumConcurrency"}, where)
        concurrency = int(scaling.get("MaximumConcurrency", CONCURRENCY))
        if not MIN_CONCURRENCY <= concurrency <= MAX_CONCURRENCY:
            bounds = f"is not from {MIN_CONCURRENCY} to {MAX_CONCURRENCY}"
            raise TemplateError(f"{where}.MaximumConcurrency", bounds)
        size = int(properties.get("BatchSize", 10))
        stack.consumers.append(Consumer(function, queue, size, concurrency))
    elif kind == "HttpApi":
        stack.routes.append(_route(properties, function, f"{place}.Properties"))
    elif kind == "ScheduleV2":
        expression = properties["ScheduleExpression"]
        problem = problem_with(expression)
        if problem:
            raise TemplateError(f"{place}.Properties.ScheduleExpression", problem)
        stack.schedules.append(Schedule(f"{function}{event}", function, expression))


def _route(properties: Mapping[str, Any], function: str, place: str) -> Route:
    if properties["Method"] == "ANY":
        raise TemplateError(f"{place}.Method", "ANY is not supported on one machine")
    if "+" in properties["Path"]:
        raise TemplateError(f"{place}.Path", "a greedy parameter is not supported on one machine")
    auth = properties.get("Auth", {})
    return Route(
        properties["Method"],
        properties["Path"],
        function,
        tuple(auth.get("AuthorizationScopes", ())),
        public=auth.get("Authorizer") == "NONE",
    )
