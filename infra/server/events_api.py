"""The operations that describe the event bus, its rules and their targets.

Source: EventBridge API Reference, DescribeEventBus, ListEventBuses, DescribeRule, ListRules,
ListTargetsByRule and ListRuleNamesByTarget.
"""

from typing import Any

from infra.errors import InvalidRequest
from infra.local.engine.engine import Engine
from infra.local.engine.targets import LOCAL_QUEUE, OUTSIDE
from infra.local.template.loader import ACCOUNT, REGION
from infra.local.template.stack import Rule, Stack, Target
from infra.server.bus_fields import bus_arn, check_bus, page_of, rule_arn
from infra.server.fields import Answer, Operation, Request, text_of


def bus_operations(engine: Engine) -> dict[str, Operation]:
    """Return the operations on an engine's bus, by their names."""
    api = _BusApi(engine.stack)
    return {
        "AWSEvents.DescribeEventBus": api.describe_bus,
        "AWSEvents.ListEventBuses": api.list_buses,
        "AWSEvents.DescribeRule": api.describe_rule,
        "AWSEvents.ListRules": api.list_rules,
        "AWSEvents.ListTargetsByRule": api.list_targets,
        "AWSEvents.ListRuleNamesByTarget": api.list_rule_names,
    }


class _BusApi:
    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def describe_bus(self, request: Request) -> Answer:
        """Return the bus."""
        check_bus(self._stack, request, "Name")
        return {"Name": self._stack.bus, "Arn": bus_arn(self._stack)}

    def list_buses(self, request: Request) -> Answer:
        """Return the one bus, if its name has the prefix."""
        prefix = request.get("NamePrefix") or ""
        buses = [self.describe_bus({"Name": self._stack.bus})]
        found = [bus for bus in buses if bus["Name"].startswith(prefix)]
        return page_of(request, ("buses", prefix), found, "EventBuses")

    def describe_rule(self, request: Request) -> Answer:
        """Return a rule."""
        return self._described(self._rule(request, "Name"))

    def list_rules(self, request: Request) -> Answer:
        """Return the rules whose names have the prefix, by name."""
        check_bus(self._stack, request)
        prefix = request.get("NamePrefix") or ""
        rules = sorted(self._stack.rules, key=lambda rule: rule.name)
        found = [self._described(rule) for rule in rules if rule.name.startswith(prefix)]
        return page_of(request, ("rules", prefix), found, "Rules")

    def list_targets(self, request: Request) -> Answer:
        """Return the targets of a rule."""
        rule = self._rule(request, "Rule")
        targets = [self._target(target) for target in rule.targets]
        return page_of(request, ("targets", rule.name), targets, "Targets")

    def list_rule_names(self, request: Request) -> Answer:
        """Return the names of the rules with a target."""
        check_bus(self._stack, request)
        arn = text_of(request, "TargetArn")
        names = sorted(
            rule.name
            for rule in self._stack.rules
            if any(self._arn(target) == arn for target in rule.targets)
        )
        return page_of(request, ("names", arn), names, "RuleNames")

    def _rule(self, request: Request, field: str) -> Rule:
        check_bus(self._stack, request)
        name = text_of(request, field)
        rule = next((rule for rule in self._stack.rules if rule.name == name), None)
        if rule is None:
            problem = f"Rule {name} does not exist on EventBus {self._stack.bus}."
            raise InvalidRequest("ResourceNotFoundException", problem)
        return rule

    def _described(self, rule: Rule) -> Answer:
        return {
            "Name": rule.name,
            "Arn": rule_arn(self._stack, rule.name),
            "EventPattern": rule.pattern.text,
            "State": "ENABLED",
            "EventBusName": self._stack.bus,
            **({"Description": "A local rule, not of the template."} if rule.local else {}),
        }

    def _arn(self, target: Target) -> str:
        if target.kind == "queue":
            return self._stack.queues[target.name].arn
        if target.kind == LOCAL_QUEUE:
            return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{target.name}"
        if target.kind in OUTSIDE:
            return target.name
        if target.kind == "machine":
            return self._stack.state_machines[target.name].arn
        return f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/{target.name}"

    def _target(self, target: Target) -> Answer:
        answer: dict[str, Any] = {
            "Id": target.id,
            "Arn": self._arn(target),
            "RetryPolicy": {
                "MaximumRetryAttempts": target.max_attempts,
                "MaximumEventAgeInSeconds": int(target.max_age),
            },
        }
        if target.dead_letters:
            arn = self._stack.queues[target.dead_letters].arn
            answer["DeadLetterConfig"] = {"Arn": arn}
        return answer
