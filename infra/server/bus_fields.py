"""Fields that requests about the event bus have in common: the bus, its ARNs, and pages.

Source: EventBridge API Reference, Common Parameters of the operations on rules.
"""

from typing import Any

from infra.errors import InvalidRequest
from infra.local.template.loader import ACCOUNT, REGION
from infra.local.template.stack import Stack
from infra.server.fields import Answer, Pages, Request, within

MAX_LIMIT = 100
"""Maximum of ``Limit`` (EventBridge API Reference)."""

PREFIX = f"arn:aws:events:{REGION}:{ACCOUNT}"
"""The beginning of an ARN of EventBridge."""


def bus_arn(stack: Stack) -> str:
    """Return the ARN of a stack's bus."""
    return f"{PREFIX}:event-bus/{stack.bus}"


def rule_arn(stack: Stack, rule: str) -> str:
    """Return the ARN of a rule of a stack's bus."""
    return f"{PREFIX}:rule/{stack.bus}/{rule}"


def check_bus(stack: Stack, request: Request, field: str = "EventBusName") -> None:
    """Raise `InvalidRequest` unless a request names the stack's bus, by name or ARN."""
    name = request.get(field) or "default"
    if name not in {stack.bus, bus_arn(stack)}:
        problem = f"Event bus {name} does not exist; this machine has {stack.bus}."
        raise InvalidRequest("ResourceNotFoundException", problem)


def page_of(request: Request, identity: object, items: list[Any], name: str) -> Answer:
    """Return a page of a list, as the operations of EventBridge do."""
    size = within(request, "Limit", MAX_LIMIT, 1, MAX_LIMIT)
    return Pages(request, identity, "NextToken").page(items, size, name)
