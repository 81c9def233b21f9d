"""The operations on a developer's own rules: PutRule, PutTargets, RemoveTargets, DeleteRule.

``Orderflow.Subscribe`` and ``Orderflow.Unsubscribe`` are those of the command line: a rule with
one target. A rule of the template is refused.

Source: EventBridge API Reference, PutRule, PutTargets, RemoveTargets and DeleteRule.
"""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from infra.errors import InvalidRequest
from infra.local.engine.engine import Engine
from infra.local.engine.local_rules import MAX_TARGETS, LocalTarget, local_target
from infra.local.template.loader import ACCOUNT, REGION
from infra.server.bus_fields import check_bus, rule_arn
from infra.server.fields import Answer, Operation, Request, text_of

QUEUE = "queue"
"""The word for a queue with the subscription's own name."""

_IGNORED = frozenset({"RoleArn", "Tags", "RetryPolicy", "HttpParameters", "SqsParameters"})
"""Fields of a target that change nothing on one machine."""


def rule_operations(engine: Engine) -> dict[str, Operation]:
    """Return the operations on an engine's local rules, by their names."""
    api = _RulesApi(engine)
    return {
        "AWSEvents.PutRule": api.put_rule,
        "AWSEvents.PutTargets": api.put_targets,
        "AWSEvents.RemoveTargets": api.remove_targets,
        "AWSEvents.DeleteRule": api.delete_rule,
    }


def subscription_operations(engine: Engine) -> dict[str, Callable[[Request], Future[Answer]]]:
    """Return the operations of ``orders subscribe``, by their names."""
    api = _RulesApi(engine)
    return {"Orderflow.Subscribe": api.subscribe, "Orderflow.Unsubscribe": api.unsubscribe}


class _RulesApi:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stack = engine.stack

    def put_rule(self, request: Request) -> Future[Answer]:
        """Create a local rule, or change its pattern."""
        check_bus(self._stack, request)
        name, pattern = text_of(request, "Name"), _text(request, "EventPattern")
        if request.get("ScheduleExpression"):
            problem = "ScheduleExpression: a local rule has an EventPattern; send that alone."
            raise InvalidRequest("ValidationException", problem)
        if request.get("State") not in (None, "ENABLED"):
            problem = "State: a local rule is ENABLED; delete it to disable it."
            raise InvalidRequest("ValidationException", problem)
        description = request.get("Description") or ""
        if not isinstance(description, str):
            raise InvalidRequest("SerializationException", "Description is of another type")

        def put(now: float) -> Answer:
            self._engine.local_rules.put_rule(name, pattern, description, now)
            return {"RuleArn": rule_arn(self._stack, name)}

        return self._change(put)

    def put_targets(self, request: Request) -> Future[Answer]:
        """Add targets to a local rule."""
        check_bus(self._stack, request)
        name, given = text_of(request, "Rule"), request.get("Targets")
        if not isinstance(given, list) or not given or len(given) > MAX_TARGETS:
            problem = f"Targets: send a list of 1 to {MAX_TARGETS} targets, each with Id and Arn."
            raise InvalidRequest("ValidationException", problem)
        targets = [self._target(target, name) for target in given]

        def put(_: float) -> Answer:
            self._engine.local_rules.put_targets(name, targets)
            return {"FailedEntryCount": 0, "FailedEntries": []}

        return self._change(put)

    def remove_targets(self, request: Request) -> Future[Answer]:
        """Remove targets of a local rule."""
        check_bus(self._stack, request)
        name, ids = text_of(request, "Rule"), request.get("Ids")
        if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
            raise InvalidRequest("SerializationException", "Ids is a list of texts")

        def remove(_: float) -> Answer:
            self._engine.local_rules.remove_targets(name, ids)
            return {"FailedEntryCount": 0, "FailedEntries": []}

        return self._change(remove)

    def delete_rule(self, request: Request) -> Future[Answer]:
        """Delete a local rule, which has no targets any more; one that is gone is no error."""
        check_bus(self._stack, request)
        name = text_of(request, "Name")

        def delete(_: float) -> Answer:
            rule = next((rule for rule in self._stack.rules if rule.name == name), None)
            if rule is not None and rule.local and rule.targets:
                problem = "Rule can't be deleted since it has targets."
                raise InvalidRequest("ValidationException", problem)
            if rule is not None:
                self._engine.local_rules.delete_rule(name)
            return {}

        return self._change(delete)

    def subscribe(self, request: Request) -> Future[Answer]:
        """Create or change a rule with one target."""
        name, pattern, to = (_text(request, field) for field in ("rule", "pattern", "to"))
        own = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name.replace('.', '-')}" if to == QUEUE else to
        target = local_target("subscription", own, name, list(self._stack.queues))

        def put(now: float) -> Answer:
            self._engine.local_rules.put_rule(name, pattern, "orders subscribe", now)
            self._engine.local_rules.put_targets(name, [target])
            return {"name": name, "kind": target.kind, "address": target.address}

        return self._change(put)

    def unsubscribe(self, request: Request) -> Future[Answer]:
        """Delete a local rule with its targets, and the events that wait for them."""
        name = _text(request, "rule")

        def delete(_: float) -> Answer:
            self._engine.local_rules.delete_rule(name)
            return {"name": name}

        return self._change(delete)

    def _target(self, given: Any, rule: str) -> LocalTarget:
        if not isinstance(given, dict):
            raise InvalidRequest("SerializationException", "Targets has an entry of another type")
        key, arn = given.get("Id"), given.get("Arn")
        if not isinstance(key, str) or not isinstance(arn, str):
            raise InvalidRequest("ValidationException", "Targets: Id and Arn: send both as text.")
        others = sorted(given.keys() - {"Id", "Arn"} - _IGNORED)
        if others:
            problem = f"Targets: {others[0]}: is not supported on one machine; omit it."
            raise InvalidRequest("ValidationException", problem)
        return local_target(key, arn, rule, list(self._stack.queues))

    def _change(self, change: Callable[[float], Answer]) -> Future[Answer]:
        def run(now: float) -> Answer:
            answer = change(now)
            self._engine.journal.batch.durable = True
            return answer

        return self._engine.call(run)


def _text(request: Request, field: str) -> str:
    text = request.get(field)
    if not isinstance(text, str) or not text:
        raise InvalidRequest("ValidationException", f"{field}: is missing; send it as text.")
    return text
