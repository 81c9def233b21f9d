"""``orders replay``: send events again, from files, the archive or dead letters."""

import time
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from infra.cli.errors import CommandError
from infra.cli.options import DATA, AccountOptions, Data, Json, directory, expand_options
from infra.cli.replaying.checkpoint import COMPLETED, PAUSED
from infra.cli.replaying.dry_run import forecast
from infra.cli.replaying.file_replay import Command, FileReplay
from infra.cli.replaying.file_source import FileSource
from infra.cli.replaying.replayer import Choice, chosen
from infra.cli.replaying.selection import Selection, find_rules, parse_filter, parse_time
from infra.cli.replaying.tally import Tally
from infra.local.platform import stack_of
from infra.terminal.output import finish

INTERRUPTED = 130
"""Exit code after Ctrl-C."""

PATIENCE = 10.0
"""Seconds that a replay waits for the outcomes of its events."""


@expand_options
def replay(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH…", help="Files or folders.")
    ] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the effect.")] = False,
    facts: Annotated[
        bool,
        typer.Option("--facts", help="Also send the platform's own events, on one machine."),
    ] = False,
    rate: Annotated[float | None, typer.Option(min=0.01, help="Events a second.")] = None,
    speed: Annotated[
        float | None, typer.Option(min=0.001, help="As they came, so many times as fast.")
    ] = None,
    event_filter: Annotated[
        list[str] | None,
        typer.Option("--filter", help="A pattern in JSON, or FIELD=VALUE, that events match."),
    ] = None,
    rules: Annotated[
        list[str] | None, typer.Option("--rule", help="Only events that this rule matches.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="First time of events: RFC 3339 or 2h.")] = None,
    until: Annotated[str | None, typer.Option(help="Time after the last events.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum number of events.")] = None,
    new_ids: Annotated[
        bool, typer.Option("--new-ids", help="New orders instead of repetitions, as a load.")
    ] = False,
    name: Annotated[str, typer.Option(help="Name of the replay, which analysts see.")] = "",
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin again, not at the checkpoint.")
    ] = False,
    no_brake: Annotated[
        bool, typer.Option("--no-brake", help="Do not wait while the platform is behind.")
    ] = False,
    wait: Annotated[
        float, typer.Option(min=0, max=3_600, help="Seconds to wait for the outcomes.")
    ] = PATIENCE,
    yes: Annotated[bool, typer.Option("--yes", help="Allow a bus outside this machine.")] = False,
    account: AccountOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Send requests again, safely: known orders are left unchanged.

    The platform's own events are skipped: it states them itself. An interrupted replay of files
    continues at its checkpoint with the same command.
    """
    where, now = directory(data), time.time()
    _check_destination(account, facts=facts, allowed=yes or dry_run)
    stack = stack_of(where)
    selection = Selection(
        [parse_filter(text) for text in event_filter or []],
        find_rules(stack, rules or []),
        parse_time("--since", since, now),
        parse_time("--until", until, now),
    )
    choice = Choice(selection, facts, limit)
    if not paths:
        raise typer.BadParameter("name files or folders")
    source = FileSource(paths)
    if dry_run:
        choice = replace(choice, suffix="new" if new_ids else "")
        tally = Tally()
        told = forecast(chosen(source.items(), choice, tally), where, stack, tally, now)
        _end({**told, "state": COMPLETED, "dry_run": True}, as_json=as_json)
        return
    words = {
        "filter": event_filter,
        "rules": rules,
        "since": since,
        "until": until,
        "limit": limit,
        "facts": facts,
        "new_ids": new_ids,
        "name": name,
    }
    command = Command(
        source, choice, where, account.account(), stack, words, name, new_ids, restart
    )
    sent = FileReplay(command).run(rate, speed, brake=not no_brake, wait=wait)
    _end({**sent, "dry_run": False}, as_json=as_json)


def _end(result: dict[str, Any], *, as_json: bool) -> None:
    """Set the JSON document; raise for a stopped replay, or one with rejected events."""
    finish(result, as_json=as_json)
    if result["state"] == PAUSED:
        raise SystemExit(INTERRUPTED)
    if result["rejected"]:
        number, accepted = result["rejected"], result["accepted"]
        subject = "1 event was" if number == 1 else f"{number:,} events were"
        others = "" if result["dry_run"] else f"; {accepted or 'none'} accepted"
        raise CommandError(f"{subject} rejected{others}")


def _check_destination(account: AccountOptions, *, facts: bool, allowed: bool) -> None:
    """Raise `CommandError` for a bus outside this machine that was not allowed."""
    if not account.given or _is_local(account.endpoint_url):
        return
    if facts:
        raise CommandError(
            "--facts is for one machine: the bus policy on AWS refuses facts of any other sender"
        )
    if not allowed:
        raise CommandError(
            "this replays to a bus outside this machine; use --dry-run, then say --yes"
        )


def _is_local(endpoint_url: str | None) -> bool:
    """Return whether an endpoint is a name or an address of this machine's loopback."""
    try:
        host = urlsplit(endpoint_url or "").hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
