"""Replays: the archive's events again, with a dry run first, a pace, pause, resume and cancel."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote
from typing import Any

from infra.console.pace import pace_of
from infra.console.page import BadFilter, Page, Redirect, View, Visit, link
from infra.errors import NotFound
from infra.local.template.loader import ACCOUNT, REGION
from infra.views.replays import Span, dry_run, find_replay, replay_list
from infra.views.rule_activity import pending_of
from kernel.clock import timestamp
from kernel.timestamps import moment
from storage.sqlite.database import Database

MAX_RATE = 100_000
RATE = "20"
"""The proposed rate, in events a second."""

HOUR = 3_600.0

_NAME = re.compile(r"[.\-_A-Za-z0-9]{1,64}")

CHANGES: Mapping[str, tuple[str, str]] = {
    "pause": ("Orderflow.PauseReplay", "is paused"),
    "resume": ("Orderflow.ResumeReplay", "continues"),
    "cancel": ("AWSEvents.CancelReplay", "is cancelled; sent events stay"),
}
"""The operations on a replay, and their result in words."""


def listed(_visit: Visit, database: Database) -> View:
    """Show the replays, the newest first."""
    return View("replays/list.html", "Replays", {"replays": replay_list(database)})


def one(visit: Visit, database: Database) -> View:
    """Show one replay: its progress, and the backlog of the rules' targets."""
    name = visit.path["name"]
    found = find_replay(database, name)
    if found is None:
        raise NotFound(f"there is no replay {name[:80]!r}; see the list of replays")
    rules = [
        rule for rule in visit.source.stack.rules if rule.name in found.rules or not found.rules
    ]
    backlog = [
        (target.key, pending_of(database, target.key)) for rule in rules for target in rule.targets
    ]
    return View("replays/one.html", f"Replay {found.name}", {"replay": found, "backlog": backlog})


@dataclass(frozen=True, slots=True)
class Wanted:
    """The fields of a new replay; ``problem`` is the first wrong one."""

    name: str
    start: str
    end: str
    rules: tuple[str, ...]
    rate: str
    start_at: float = 0.0
    end_at: float = 0.0
    per_second: float | None = None
    problem: str = ""


def new(visit: Visit, database: Database) -> View:
    """Show the form of a new replay, with the dry run of its fields."""
    wanted = wanted_of(visit, visit.query)
    found = None
    if visit.filter("start") and not wanted.problem:
        stack = visit.source.stack
        span = Span(wanted.start_at, wanted.end_at)
        found = dry_run(database, stack, span, wanted.rules, visit.now)
    return _form(visit, wanted, found)


async def start(visit: Visit, form: Mapping[str, str]) -> View | Redirect:
    """Start a replay."""
    wanted = wanted_of(visit, form)
    if wanted.problem:
        return _form(visit, wanted, None)
    prefix = f"arn:aws:events:{REGION}:{ACCOUNT}"
    bus = visit.source.stack.bus
    destination: dict[str, Any] = {"Arn": f"{prefix}:event-bus/{bus}"}
    if wanted.rules:
        destination["FilterArns"] = [f"{prefix}:rule/{bus}/{rule}" for rule in wanted.rules]
    request: dict[str, Any] = {
        "ReplayName": wanted.name,
        "EventSourceArn": f"{prefix}:archive/{visit.source.stack.archive}",
        "EventStartTime": wanted.start_at,
        "EventEndTime": wanted.end_at,
        "Destination": destination,
    }
    if wanted.per_second is not None:
        request["Rate"] = wanted.per_second
    await visit.source.operate("Orderflow.StartReplay", request)
    return Redirect(link(f"/replays/{wanted.name}"), f"Replay {wanted.name} has started.")


async def change(visit: Visit, _form: Mapping[str, str]) -> Redirect:
    """Pause, resume or cancel a replay."""
    name, verb = visit.path["name"], visit.path["verb"]
    if verb not in CHANGES:
        raise BadFilter(f"{verb[:40]!r} is no action on a replay; choose {', '.join(CHANGES)}")
    operation, result = CHANGES[verb]
    await visit.source.operate(operation, {"ReplayName": name})
    return Redirect(link(f"/replays/{name}"), f"Replay {name} {result}.")


def wanted_of(visit: Visit, fields: Mapping[str, str]) -> Wanted:
    """Return the fields of a form or query, checked, with defaults: the last hour, all rules."""

    def text(name: str, default: str) -> str:
        return fields.get(name, "").strip() or default

    name = text("name", f"replay-{int(visit.now)}")
    begin = text("start", timestamp(visit.now - HOUR)[:19])
    end = text("end", timestamp(visit.now + 1)[:19])
    rules = tuple(dict.fromkeys(fields.get("rules", "").split()))
    rate = fields.get("rate", RATE).strip()
    wanted = Wanted(name, begin, end, rules, rate)
    try:
        return _checked(visit, wanted)
    except ValueError as error:
        return Wanted(name, begin, end, rules, rate, problem=str(error))


def _checked(visit: Visit, wanted: Wanted) -> Wanted:
    """Return the fields with their values, or raise ValueError with the first problem."""
    if not _NAME.fullmatch(wanted.name):
        raise ValueError("name: has 1 to 64 letters, digits, dots, hyphens and underscores")
    begin, end = (_time(name, text) for name, text in (("from", wanted.start), ("to", wanted.end)))
    if begin >= end:
        raise ValueError("to: is not after the beginning; choose a later time")
    known = [rule.name for rule in visit.source.stack.rules]
    unknown = [rule for rule in wanted.rules if rule not in known]
    if unknown:
        raise ValueError(f"rules: there is no rule {unknown[0][:80]!r}; choose {', '.join(known)}")
    per_second = pace_of(wanted.rate, "events", MAX_RATE)
    return Wanted(
        wanted.name, wanted.start, wanted.end, wanted.rules, wanted.rate, begin, end, per_second
    )


def _time(field: str, text: str) -> float:
    try:
        return moment(text if text[-1:] in "Zz" or "+" in text else f"{text}Z").timestamp()
    except ValueError:
        example = "2026-01-31T12:00:00"
        raise ValueError(f"{field}: {text[:60]!r} is no time in UTC; send {example}") from None


def _form(visit: Visit, wanted: Wanted, found: Any) -> View:
    seconds = None
    if found is not None and wanted.per_second:
        seconds = found.count / wanted.per_second
    names = {
        "wanted": wanted,
        "command": command_of(wanted),
        "found": found,
        "seconds": seconds,
        "may_start": found is not None and found.count > 0,
        "rules": [rule.name for rule in visit.source.stack.rules],
    }
    return View("replays/new.html", "New replay", names, 400 if wanted.problem else 200)


def command_of(wanted: Wanted, *more: str) -> str:
    """Return the command that starts the same replay, with ``more`` options; empty for none."""
    if wanted.problem:
        return ""
    words = ["orders replay --archive", "--since", timestamp(wanted.start_at)]
    words += ["--until", timestamp(wanted.end_at)]
    words += [word for rule in wanted.rules for word in ("--rule", quote(rule))]
    words += ["--rate", f"{wanted.per_second:g}"] if wanted.per_second is not None else []
    return " ".join([*words, "--name", quote(wanted.name), *more])


PAGE = Page(
    name="replays",
    title="Replays",
    key="p",
    icon="replays",
    gets={"/replays": listed, "/replays/new": new, "/replays/{name}": one},
    posts={"/replays/new": start, "/replays/{name}/{verb}": change},
)
