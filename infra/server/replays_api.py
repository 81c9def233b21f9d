"""The operations on the archive and its replays.

Source: EventBridge API Reference, StartReplay, DescribeReplay, ListReplays, CancelReplay,
ListArchives and DescribeArchive. One machine also has ``Orderflow.StartReplay`` (with ``Rate`` in
events a second), ``PauseReplay``, ``ResumeReplay`` and ``CancelReplay``. AWS has no paused replay:
`DescribeReplay` answers RUNNING, with the reason.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from infra.errors import InvalidRequest
from infra.local.engine.engine import Engine
from infra.local.engine.paced_jobs import PAUSED, RUNNING
from infra.local.engine.replays import archived_between
from infra.server.bus_fields import PREFIX, bus_arn, page_of, rule_arn
from infra.server.fields import (
    Answer,
    Operation,
    Request,
    choice_of,
    text_of,
    time_of,
)
from infra.server.replay_request import Replay, read_replay
from kernel.json_text import parse
from storage.sqlite.database import Database

MAX_RATE = 1_000_000.0

REPLAY_STATES = ("STARTING", "RUNNING", "CANCELLING", "COMPLETED", "CANCELLED", "FAILED")
ARCHIVE_STATES = (
    *("ENABLED", "DISABLED", "CREATING", "UPDATING"),
    *("CREATE_FAILED", "UPDATE_FAILED"),
)
_ENDS_FIRST = (
    "Parameter Destination.Arn is not valid. Reason: Cross event bus replay is not permitted."
)

READS = frozenset(
    f"AWSEvents.{name}"
    for name in ("DescribeReplay", "ListReplays", "ListArchives", "DescribeArchive", "StartReplay")
) | {"Orderflow.StartReplay"}
"""Operations that read much of the database, before they use the engine, if they do."""

FIELD_TYPES: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("ArchiveName", "State", "ReplayName", "EventSourceArn"), str),
    "Rate": (int, float),
}


class ReplaysApi:
    """The operations on one engine; ``reader`` is a separate connection, for `READS`."""

    def __init__(self, engine: Engine, reader: Database) -> None:
        self.engine = engine
        self.reader = reader
        self._stack = engine.stack
        self._archive = f"{PREFIX}:archive/{self._stack.archive}"
        self._bus = bus_arn(self._stack)

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their names."""
        return {
            "AWSEvents.StartReplay": self._start_as_aws,
            "AWSEvents.DescribeReplay": self._describe,
            "AWSEvents.ListReplays": self._list,
            "AWSEvents.CancelReplay": self._changing("cancel"),
            "AWSEvents.ListArchives": self._archives,
            "AWSEvents.DescribeArchive": self._archive_of,
            "Orderflow.StartReplay": self._start,
            "Orderflow.CancelReplay": self._changing("cancel"),
            "Orderflow.PauseReplay": self._changing("pause"),
            "Orderflow.ResumeReplay": self._changing("go_on"),
        }

    def _start(self, request: Request) -> Future[Answer]:
        name = text_of(request, "ReplayName")
        start, end = (time_of(request, key) for key in ("EventStartTime", "EventEndTime"))
        rules = self._rules(request.get("Destination") or {})
        archive = text_of(request, "EventSourceArn").rsplit("/", 1)[-1]
        if archive != self._stack.archive:
            message = f"Archive {archive} does not exist; the archive is {self._stack.archive}."
            raise InvalidRequest("ResourceNotFoundException", message)
        return self._begin(Replay(name, start, end, rules), request.get("Rate"))

    def _start_as_aws(self, request: Request) -> Future[Answer]:
        return self._begin(read_replay(request, self._stack), request.get("Rate"))

    def _begin(self, wanted: Replay, rate: Any) -> Future[Answer]:
        if rate is not None and not 0 < rate <= MAX_RATE:
            raise InvalidRequest("ValidationException", f"Rate is from 0 to {MAX_RATE:,.0f}.")

        between = archived_between(self.reader, wanted.start, wanted.end)

        def replay(now: float) -> Answer:
            self.engine.replays.start(*wanted, now, rate, between)
            return {"ReplayArn": _arn(wanted.name), "State": "STARTING", "ReplayStartTime": now}

        return self.engine.call(replay)

    def _rules(self, destination: Mapping[str, Any]) -> list[str]:
        """Return the names of the rules in a destination, which is this bus."""
        filters = destination.get("FilterArns") or []
        if not isinstance(filters, list) or not all(isinstance(arn, str) for arn in filters):
            raise InvalidRequest("SerializationException", "FilterArns is a list of ARNs")
        bus = destination.get("Arn")
        if bus is not None and bus != self._bus:
            raise InvalidRequest("ValidationException", _ENDS_FIRST)
        return [rule.rsplit("/", 1)[-1] for rule in filters]

    def _changing(self, how: str) -> Operation:
        """Return an operation that changes the state of a replay; ``how`` is a method's name."""

        def operate(request: Request) -> Future[Answer]:
            name = text_of(request, "ReplayName")

            def run(now: float) -> Answer:
                change: Callable[[str, float], str] = getattr(self.engine.replays, how)
                state = change(name, now)
                answered = "CANCELLING" if state == "CANCELLED" else state
                return {"ReplayArn": _arn(name), "State": answered}

            return self.engine.call(run)

        return operate

    def _describe(self, request: Request) -> Answer:
        name = text_of(request, "ReplayName")
        row = self.reader.row("select * from replays where name = ?", name)
        if row is None:
            raise InvalidRequest("ResourceNotFoundException", f"Replay {name} does not exist.")
        rules = [rule_arn(self._stack, rule) for rule in parse(row["rules"])]
        destination = {"Arn": self._bus, **({"FilterArns": rules} if rules else {})}
        return {"ReplayArn": _arn(name), "Destination": destination, **self._summary(row)}

    def _summary(self, row: Any) -> Answer:
        """Return the fields of a replay that a list has too."""
        paused = row["state"] == PAUSED
        answer = {
            "ReplayName": row["name"],
            "EventSourceArn": self._archive,
            "State": RUNNING if paused else row["state"],
            "StateReason": "The replay is paused." if paused else None,
            "EventStartTime": row["start_at"],
            "EventEndTime": row["end_at"],
            "EventLastReplayedTime": row["last_at"],
            "ReplayStartTime": row["started_at"],
            "ReplayEndTime": row["ended_at"],
        }
        return {name: value for name, value in answer.items() if value is not None}

    def _list(self, request: Request) -> Answer:
        prefix, source = request.get("NamePrefix") or "", request.get("EventSourceArn")
        state = choice_of(request, "State", REPLAY_STATES)
        rows = self.reader.rows("select * from replays order by name")
        found = [
            summary
            for summary in map(self._summary, rows)
            if summary["ReplayName"].startswith(prefix)
            and state in (None, summary["State"])
            and source in (None, self._archive)
        ]
        return page_of(request, ("replays", prefix, state, source), found, "Replays")

    def _archives(self, request: Request) -> Answer:
        prefix, source = request.get("NamePrefix") or "", request.get("EventSourceArn")
        state = choice_of(request, "State", ARCHIVE_STATES)
        name = self._stack.archive
        is_asked = name.startswith(prefix) and source in (None, self._bus)
        found = [self._archive_state()] if name and is_asked and state in (None, "ENABLED") else []
        return page_of(request, ("archives", prefix, state, source), found, "Archives")

    def _archive_of(self, request: Request) -> Answer:
        name = text_of(request, "ArchiveName")
        if not name or name != self._stack.archive:
            message = f"Archive {name} does not exist; the archive is {self._stack.archive}."
            raise InvalidRequest("ResourceNotFoundException", message)
        pattern = self._stack.archive_pattern
        filtered = {} if pattern is None else {"EventPattern": pattern.text}
        return {"ArchiveArn": self._archive, **filtered, **self._archive_state()}

    def _archive_state(self) -> Answer:
        """Return the fields of the archive that a list has too."""
        row = self.reader.row(
            "select count(*), sum(length(envelope)), min(arrived_at) from events where archived"
        )
        number, size, since = (0, 0, None) if row is None else row
        return {
            "ArchiveName": self._stack.archive,
            "EventSourceArn": self._bus,
            "State": "ENABLED",
            "RetentionDays": self._stack.archive_days,
            "EventCount": number,
            "SizeBytes": size or 0,
            "CreationTime": since or self.engine.clock.now(),
        }


def _arn(name: str) -> str:
    return f"{PREFIX}:replay/{name}"
