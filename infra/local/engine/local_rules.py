"""A developer's own rules on one machine, in addition to those of the template.

Each is a row of the journal's table ``local_rules``, its targets rows of ``local_targets``. They
are loaded with the engine, and every change is a request of the engine's turn. A rule of the
template cannot be changed. A target is one of these kinds:

================  =================================================================================
``http``          an address of this machine, to which each event is posted
``file``          a file in the directory's folder ``subscriptions``, with a line for each event
``local_queue``   a queue of its own (`infra.local.engine.local_queues`), read by a client of SQS
================  =================================================================================
"""

import ipaddress
import re
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple
from urllib.parse import urlsplit

from infra.errors import InvalidRequest
from infra.local.engine.bus import Bus
from infra.local.engine.targets import FILE, HTTP, LOCAL_QUEUE
from infra.local.template.loader import ACCOUNT, REGION
from infra.local.template.stack import Rule, Target
from infra.patterns import InvalidPattern, Pattern, compile_pattern

MAX_RULES, MAX_TARGETS = 50, 5
"""Local rules, and targets of one (EventBridge quotas: 5 targets a rule)."""

MAX_AGE, MAX_ATTEMPTS = 3_600.0, 60
"""Seconds and retries after which an event is dropped: a local target has no dead letters."""

_NAME = re.compile(r"[.\-_A-Za-z0-9]{1,64}")
_QUEUE = re.compile(rf"arn:aws:sqs:{REGION}:{ACCOUNT}:([\-_A-Za-z0-9]{{1,80}})")
_LOCALHOST = "localhost"


class LocalTarget(NamedTuple):
    """A target as it is stored: its id, its kind, and its address, queue or file."""

    id: str
    kind: str
    address: str


class LocalRules:
    """The local rules of one engine's bus."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._own = {rule.name for rule in bus.stack.rules}
        for name, pattern in bus.journal.database.rows(
            "select name, pattern from local_rules order by name"
        ):
            self._load(name, pattern)
        self.bus.show_targets()

    def _load(self, name: str, pattern: str) -> None:
        """Show a stored rule; delete one whose name the template has taken since.

        A pattern that this version refuses matches nothing, which its targets have as a problem.
        """
        rows = self.bus.journal.database.rows(
            "select id, kind, address from local_targets where rule = ? order by id", name
        )
        targets = [LocalTarget(*row) for row in rows]
        if name in self._own:
            self._forget(name, targets)
            return
        try:
            self._show(name, compile_pattern(pattern), targets)
        except InvalidPattern as error:
            update = "update local_targets set problem = ? where rule = ?"
            self.bus.journal.batch.add(update, str(error), name)

    @property
    def rules(self) -> list[Rule]:
        """The local rules."""
        return [rule for rule in self.bus.stack.rules if rule.local]

    def put_rule(self, name: str, pattern: str, description: str, now: float) -> None:
        """Create a rule, or change the pattern of one.

        Raises
        ------
        InvalidRequest
            The template has a rule of this name, the pattern is invalid, or there are too many.
        """
        self._check_name(name)
        known = {rule.name: rule for rule in self.rules}
        if name not in known and len(known) >= MAX_RULES:
            problem = f"there are {MAX_RULES} local rules; delete one first"
            raise InvalidRequest("LimitExceededException", problem)
        try:
            compiled = compile_pattern(pattern)
        except InvalidPattern as error:
            raise InvalidRequest("InvalidEventPatternException", str(error)) from None
        self.bus.journal.batch.add(
            "insert into local_rules values (?, ?, ?, ?) on conflict (name)"
            " do update set pattern = excluded.pattern, description = excluded.description",
            name,
            pattern,
            description[:512],
            now,
        )
        targets = _stored(known[name]) if name in known else []
        self._replace(name, compiled, targets)

    def put_targets(self, name: str, targets: Sequence[LocalTarget]) -> None:
        """Add targets to a rule; one of a known id is replaced.

        Raises
        ------
        InvalidRequest
            The rule does not exist or is the template's, or it would have too many targets.
        """
        rule = self._rule(name)
        chosen = {target.id: target for target in [*_stored(rule), *targets]}
        if len(chosen) > MAX_TARGETS:
            problem = f"rule {name} would have {len(chosen)} targets; {MAX_TARGETS} are allowed"
            raise InvalidRequest("LimitExceededException", problem)
        for target in targets:
            self.bus.journal.batch.add(
                "insert into local_targets values (?, ?, ?, ?, '') on conflict (rule, id) do update"
                " set kind = excluded.kind, address = excluded.address, problem = ''",
                name,
                *target,
            )
        self._replace(name, rule.pattern, list(chosen.values()))

    def remove_targets(self, name: str, ids: Sequence[str]) -> None:
        """Remove targets of a rule, with the events that wait for them."""
        rule = self._rule(name)
        for key in ids:
            self._forget_target(name, key)
        left = [target for target in _stored(rule) if target.id not in ids]
        self._replace(name, rule.pattern, left)

    def delete_rule(self, name: str) -> None:
        """Delete a rule with its targets."""
        self._forget(name, _stored(self._rule(name)))
        self._replace(name, None, [])

    def _forget(self, name: str, targets: Sequence[LocalTarget]) -> None:
        for target in targets:
            self._forget_target(name, target.id)
        self.bus.journal.batch.add("delete from local_rules where name = ?", name)

    def _forget_target(self, name: str, key: str) -> None:
        batch = self.bus.journal.batch
        batch.add("delete from local_targets where rule = ? and id = ?", name, key)
        batch.add("delete from deliveries where target = ?", f"{name}/{key}")

    def _rule(self, name: str) -> Rule:
        self._check_name(name)
        rule = next((rule for rule in self.rules if rule.name == name), None)
        if rule is None:
            problem = f"Rule {name} does not exist; `orders subscribe` and PutRule make one."
            raise InvalidRequest("ResourceNotFoundException", problem)
        return rule

    def _check_name(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            problem = f"Name {name[:80]!r}: use 1 to 64 letters, digits, '.', '-' and '_'"
            raise InvalidRequest("ValidationException", problem)
        if name in self._own:
            problem = f"Rule {name} is the template's; change template.yaml, or use another name."
            raise InvalidRequest("ManagedRuleException", problem)

    def _replace(self, name: str, pattern: Pattern | None, targets: Sequence[LocalTarget]) -> None:
        """Show a changed rule to the bus; an item that fails later shows the former one again."""
        former = self.bus.stack.rules
        self.bus.boundary.undo.append(partial(self._restore, former))
        self.bus.stack.rules = [rule for rule in former if rule.name != name]
        if pattern is not None:
            self._show(name, pattern, targets)
        self.bus.show_targets()

    def _restore(self, rules: list[Rule]) -> None:
        self.bus.stack.rules = rules
        self.bus.show_targets()

    def _show(self, name: str, pattern: Pattern, targets: Sequence[LocalTarget]) -> None:
        made = tuple(
            Target(name, target.id, target.kind, target.address, MAX_AGE, MAX_ATTEMPTS, None)
            for target in targets
        )
        rule = Rule(name, pattern, made, local=True)
        self.bus.stack.rules = [*self.bus.stack.rules, rule]


def _stored(rule: Rule) -> list[LocalTarget]:
    return [LocalTarget(target.id, target.kind, target.name) for target in rule.targets]


def local_target(key: str, arn: str, rule: str, template_queues: Sequence[str]) -> LocalTarget:
    """Return the target of an ARN, an address of this machine, or the word ``file``.

    Raises
    ------
    InvalidRequest
        It is something else; the message has the three forms.
    """
    if not _NAME.fullmatch(key):
        problem = f"Targets: Id {key[:80]!r}: use 1 to 64 letters, digits, '.', '-' and '_'"
        raise InvalidRequest("ValidationException", problem)
    queue = _QUEUE.fullmatch(arn)
    if arn == FILE:
        return LocalTarget(key, FILE, f"{rule}.ndjson")
    if queue is not None:
        if queue[1] in template_queues:
            problem = f"queue {queue[1]} is the template's, and its consumer would refuse the event"
            raise InvalidRequest("ValidationException", f"Targets: {problem}; name another.")
        return LocalTarget(key, LOCAL_QUEUE, queue[1])
    wrong = _problem_of_address(arn)
    if wrong is None:
        return LocalTarget(key, HTTP, arn)
    forms = f"http://127.0.0.1:PORT/PATH, file, or a queue: arn:aws:sqs:{REGION}:{ACCOUNT}:NAME"
    message = f"Targets: {arn[:200]!r} {wrong}; send {forms}"
    raise InvalidRequest("ValidationException", message)


def _problem_of_address(address: str) -> str | None:
    """Return why an address is not one of this machine, or ``None``."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is no address"
    if parts.scheme != "http" or not host or not address.isascii() or not address.isprintable():
        return "is no target of one machine"
    if parts.username is not None or parts.fragment or " " in address:
        return "has a user name or a fragment"
    if host != _LOCALHOST:
        try:
            is_here = ipaddress.ip_address(host).is_loopback
        except ValueError:
            is_here = False
        if not is_here:
            return "is not on this machine"
    return None if port else "has no port"
