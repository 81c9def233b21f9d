"""Replays of a stack's archive: list, preview by the rules' counts, start and cancel."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from infra.console.page import Absent, BadFilter, Feature, Redirect, View, Visit, link
from infra.console.pages import replays as shared
from infra.console.pages.replays import Wanted
from infra.console.stack.missing import MISSING
from infra.console.stack.source import LIST_KEPT, StackSource
from infra.deployed.matched_events import matched_events

SHOWN = 50


def _listed(_: Visit, source: StackSource) -> View:
    """Show the newest replays of the archive."""
    found = source.cache.get("replays", LIST_KEPT, source.replays.all)
    return View("replays/list.html", "Replays", {"replays": [*map(_shown, found[::-1][:SHOWN])]})


def _one(visit: Visit, source: StackSource) -> View:
    """Show one replay."""
    name = visit.path["name"]
    found = source.cache.get(("replay", name), LIST_KEPT, lambda: source.replays.find(name))
    return View("replays/one.html", f"Replay {name[:80]}", {"replay": _shown(found)})


def _shown(replay: Mapping[str, Any]) -> dict[str, Any]:
    """Return a replay of AWS under the names of `ReplayState`."""
    return {
        "name": replay["name"],
        "state": replay["state"],
        "start_at": replay["since"],
        "end_at": replay["until"],
        "started_at": replay["started"] or None,
        "updated_at": replay["updated"] or None,
    }


def _new(visit: Visit, source: StackSource) -> View:
    """Show the form of a new replay, with the events that its rules matched in the range."""
    wanted = shared.wanted_of(visit, visit.query)
    found = None
    if visit.filter("start") and not wanted.problem:
        rules = wanted.rules or tuple(rule.name for rule in source.stack.rules)
        found = matched_events(source.deployed, rules, wanted.start_at, wanted.end_at, visit.now)
    return _form(visit, wanted, found)


async def _start(visit: Visit, form: Mapping[str, str]) -> View | Redirect:
    """Start a replay."""
    wanted = shared.wanted_of(visit, form)
    if wanted.problem:
        return _form(visit, wanted, None)
    request = {
        "ReplayName": wanted.name,
        "EventSourceArn": visit.source.stack.archive,
        "EventStartTime": wanted.start_at,
        "EventEndTime": wanted.end_at,
        "Destination": {"FilterArns": list(wanted.rules)},
    }
    await visit.source.operate("Orderflow.StartReplay", request)
    return Redirect(link(f"/replays/{wanted.name}"), f"Replay {wanted.name} has started.")


async def _change(visit: Visit, _: Mapping[str, str]) -> Redirect:
    """Cancel a replay."""
    name, verb = visit.path["name"], visit.path["verb"]
    if verb in ("pause", "resume"):
        raise Absent(MISSING[Feature.PACE])
    if verb != "cancel":
        raise BadFilter(f"{verb[:40]!r} is no action on a replay; choose cancel")
    request = {"ReplayName": name, "EventSourceArn": visit.source.stack.archive}
    await visit.source.operate("AWSEvents.CancelReplay", request)
    return Redirect(link(f"/replays/{name}"), f"Replay {name} is cancelled; sent events stay.")


def _form(visit: Visit, wanted: Wanted, found: Mapping[str, int] | None) -> View:
    names: dict[str, Any] = {
        "wanted": wanted,
        "command": shared.command_of(replace(wanted, per_second=None), "--yes"),
        "found": found,
        "may_start": found is not None,
        "rules": [rule.name for rule in visit.source.stack.rules],
    }
    status = 400 if wanted.problem else 200
    return View("stack/new_replay.html", "New replay", names, status, is_current=False)


PAGE = replace(
    shared.PAGE,
    gets={"/replays": _listed, "/replays/new": _new, "/replays/{name}": _one},
    posts={"/replays/new": _start, "/replays/{name}/{verb}": _change},
)
