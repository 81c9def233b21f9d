"""The resources of a template, in the form that the runtime runs."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from infra.asl import Machine
from infra.patterns import Pattern

ARN_PARTS = 7
"""Parts of an ARN without its qualifier, a version or an alias.

On one machine a function and a state machine have one version each.
"""


@dataclass(frozen=True, slots=True)
class Function:
    """A Lambda function.

    ``timeout`` is in seconds, ``memory`` in MB; ``variables`` are its environment variables.
    """

    name: str
    arn: str
    handler: str
    timeout: float
    memory: int
    variables: Mapping[str, str]


def outlines(functions: Mapping[str, Function]) -> dict[str, dict[str, Any]]:
    """Return functions as JSON values, for an execution environment in another process."""
    return {name: asdict(function) for name, function in functions.items()}


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue, with times in seconds; a queue without a consumer is a dead-letter queue."""

    name: str
    arn: str
    url: str
    visibility: float
    retention: float
    dead_letters: str | None
    max_receives: int


@dataclass(frozen=True, slots=True)
class Consumer:
    """A function that consumes a queue; ``concurrency`` is the number of concurrent batches."""

    function: str
    queue: str
    batch_size: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class Target:
    """A target of a rule: ``kind`` is queue, stream or machine, ``name`` names the resource.

    A local rule's targets have the kinds of `infra.local.engine.local_rules`.
    """

    rule: str
    id: str
    kind: str
    name: str
    max_age: float
    max_attempts: int
    dead_letters: str | None
    key: str = field(init=False)
    """The target's name in the journal."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", f"{self.rule}/{self.id}")  # the way of a frozen dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the event bus; ``pattern.text`` is the text of its pattern.

    A ``local`` rule is a developer's own, and not of the template.
    """

    name: str
    pattern: Pattern
    targets: tuple[Target, ...]
    local: bool = False


@dataclass(frozen=True, slots=True)
class StateMachine:
    """A state machine; ``machine`` is its ``definition`` (JSON text), compiled."""

    name: str
    arn: str
    kind: str
    machine: Machine
    definition: str


@dataclass(frozen=True, slots=True)
class Stream:
    """A Firehose stream to Parquet: ``interval`` in seconds, ``columns`` with Glue types."""

    name: str
    processor: str
    interval: float
    prefix: str
    error_prefix: str
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule that invokes a function: ``rate(…)`` or ``cron(…)`` in UTC."""

    name: str
    function: str
    expression: str


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the HTTP API.

    A token needs one of ``scopes``; a ``public`` route needs no token.
    """

    method: str
    path: str
    function: str
    scopes: tuple[str, ...] = ()
    public: bool = False


@dataclass(frozen=True, slots=True)
class Cors:
    """The CORS configuration of the HTTP API; ``max_age`` is in seconds."""

    origins: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    max_age: int | None = None
    credentials: bool = False

    @property
    def allows_all(self) -> bool:
        """Whether every origin is allowed."""
        return "*" in self.origins

    def allows(self, origin: str) -> bool:
        """Return whether an origin is allowed; ``https://*`` allows every origin of that scheme."""
        scheme = origin.partition("://")[0]
        return self.allows_all or origin in self.origins or f"{scheme}://*" in self.origins


@dataclass(slots=True)
class Stack:
    """All resources of a template, by name."""

    bus: str = ""
    archive: str = ""
    archive_pattern: Pattern | None = None
    archive_days: int = 0
    own_facts: frozenset[str] = frozenset()
    """Detail types that the bus policy denies to all senders but the services."""
    functions: dict[str, Function] = field(default_factory=dict)
    queues: dict[str, Queue] = field(default_factory=dict)
    consumers: list[Consumer] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    state_machines: dict[str, StateMachine] = field(default_factory=dict)
    streams: dict[str, Stream] = field(default_factory=dict)
    schedules: list[Schedule] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    cors: Cors | None = None
    others: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Resources of kinds that only one rule target or integration uses, by kind and name."""

    @property
    def dead_letter_queues(self) -> list[str]:
        """The queues without a consumer."""
        consumed = {consumer.queue for consumer in self.consumers}
        return [name for name in self.queues if name not in consumed]

    def name_of(self, table: str, reference: str) -> str:
        """Return the name of a resource that is referred to by name, ARN or URL.

        Parameters
        ----------
        table : str
            ``functions``, ``queues``, ``streams`` or ``state_machines``.
        reference : str
            The name, ARN or URL.

        Raises
        ------
        KeyError
            The table has no such resource.
        """
        known: Mapping[str, Any] = (
            self.others[table] if table in self.others else getattr(self, table)
        )
        parts = reference.split(":")
        if parts[0] == "arn":
            reference = ":".join(parts[:ARN_PARTS])
        name = reference.rpartition("/")[2].rpartition(":")[2]
        if name not in known:
            raise KeyError(f"{reference!r} does not exist; there are {', '.join(sorted(known))}")
        return name


class TargetKind(NamedTuple):
    """A kind of rule target: ``resources`` is the kind of resource that a target's ARN names."""

    kind: str
    resources: str


@dataclass(frozen=True, slots=True)
class Supported:
    """The parts of a template that depend on the engine.

    Parameters
    ----------
    targets : Mapping[str, TargetKind]
        The kinds of rule targets, by the service in a target's ARN (its third part).
    integrations : Collection[str]
        The names of the task integrations.
    """

    targets: Mapping[str, TargetKind]
    integrations: Collection[str]
