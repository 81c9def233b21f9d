"""``orders replay``: send events again, from files, the archive or dead letters."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from infra.cli.errors import CommandError
from infra.cli.moments import moment_of
from infra.cli.options import DATA, AccountOptions, Data, Json, directory, expand_options
from infra.cli.replaying.archive_replay import ArchiveReplay, archived
from infra.cli.replaying.checkpoint import COMPLETED, PAUSED
from infra.cli.replaying.dry_run import forecast
from infra.cli.replaying.file_replay import Command, FileReplay
from infra.cli.replaying.file_source import FileSource, Item, Source
from infra.cli.replaying.letter_source import LetterSource, selected
from infra.cli.replaying.replayer import Choice, chosen
from infra.cli.replaying.selection import Selection, find_rules, parse_filter
from infra.cli.replaying.tally import Tally
from infra.local.directory.data_directory import DataDirectory
from infra.local.platform import stack_of
from infra.local.template.stack import Stack
from infra.terminal.output import console, finish
from infra.views.local_dead_letters import open_dead_letters

if TYPE_CHECKING:
    from infra.deployed.stack import DeployedStack

INTERRUPTED = 130
"""Exit code after Ctrl-C."""

PATIENCE = 10.0
"""Seconds that a replay waits for the outcomes of its events."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options that select the events of a replay."""

    filters: list[str]
    rules: list[str]
    since: str | None
    until: str | None
    limit: int | None
    facts: bool
    new_ids: bool
    name: str

    def selection(self, stack: Stack) -> Selection:
        """Return the conditions on events."""
        return Selection(
            [parse_filter(text) for text in self.filters],
            find_rules(stack, self.rules),
            moment_of("--since", self.since),
            moment_of("--until", self.until),
        )


@expand_options
def replay(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH…", help="Files or folders.")
    ] = None,
    *,
    archive: Annotated[
        bool, typer.Option("--archive", help="Replay the archive's events, not files.")
    ] = False,
    dead_letters: Annotated[
        bool, typer.Option("--dead-letters", help="Replay the events of open dead letters.")
    ] = False,
    reason: Annotated[
        str | None, typer.Option(help="With --dead-letters, those whose reason has this text.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the effect.")] = False,
    facts: Annotated[
        bool,
        typer.Option("--facts", help="Also send the platform's own events, on one machine."),
    ] = False,
    rate: Annotated[float | None, typer.Option(min=0.01, help="Events a second.")] = None,
    speed: Annotated[
        float | None,
        typer.Option(
            min=0.001, help="Keep the intervals between the events, divided by this number."
        ),
    ] = None,
    event_filter: Annotated[
        list[str] | None,
        typer.Option("--filter", help="A pattern in JSON, or FIELD=VALUE, that events match."),
    ] = None,
    rules: Annotated[
        list[str] | None, typer.Option("--rule", help="Only events that this rule matches.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="A time, a day, or an age such as 2h.")] = None,
    until: Annotated[str | None, typer.Option(help="The time after the last event.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum number of events.")] = None,
    new_ids: Annotated[
        bool, typer.Option("--new-ids", help="Give the orders new ids, for a load test.")
    ] = False,
    name: Annotated[str, typer.Option(help="Name of the replay, which analysts see.")] = "",
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin again, not at the checkpoint.")
    ] = False,
    no_brake: Annotated[
        bool,
        typer.Option(
            "--no-brake",
            help="Send at full rate while more than 1,000 deliveries and messages are due.",
        ),
    ] = False,
    wait: Annotated[
        float, typer.Option(min=0, max=3_600, help="Seconds to wait for the outcomes.")
    ] = PATIENCE,
    yes: Annotated[bool, typer.Option("--yes", help="Allow a bus outside this machine.")] = False,
    stack_name: Annotated[
        str | None,
        typer.Option("--stack", help="A deployed stack: with its brake and its proof."),
    ] = None,
    account: AccountOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Send requests again, safely: known orders are left unchanged.

    The platform's own events are skipped: it states them itself. An interrupted replay of files
    continues at its checkpoint with the same command. With --archive the platform delivers its
    archive again, to all rules or those of --rule, as a job: see `orders replays`.
    """
    where = directory(data)
    _check_sources(paths, archive=archive, dead_letters=dead_letters, reason=reason)
    if stack_name is not None and not paths:
        raise typer.BadParameter(
            "--stack is for files; --archive names an account with --region or --profile"
        )
    outside = stack_name is not None or (account.given and not _is_local(account.endpoint_url))
    _check_destination(outside=outside, facts=facts, allowed=yes or dry_run)
    stack = stack_of(where)
    asked = Options(*(event_filter or [], rules or [], since, until, limit, facts, new_ids, name))
    if archive:
        _check_archive(asked, speed, restart=restart)
        result = _replay_archive(where, stack, account, asked, rate, dry_run=dry_run)
        _end({**result, "dry_run": dry_run}, as_json=as_json)
        return
    source: Source = FileSource(paths) if paths else _letters(where, stack, account, reason)
    choice = Choice(asked.selection(stack), facts, limit, "new" if new_ids and dry_run else "")
    if dry_run:
        result = _forecast(source.items(), choice, where, stack)
        _end({**result, "dry_run": True}, as_json=as_json)
        return
    words = {"options": repr(asked), "reason": reason}
    deployed = None if stack_name is None else _deployed(stack_name, account)
    to = account.account() if deployed is None else deployed.account
    command = Command(source, choice, where, to, stack, words, name, new_ids, restart, deployed)
    sent = FileReplay(command).run(rate, speed, brake=not no_brake, wait=wait)
    _end({**sent, "dry_run": False}, as_json=as_json)


def _deployed(name: str, account: AccountOptions) -> "DeployedStack":
    """Return the named stack of the account; raise AWSError if there is none."""
    from infra.deployed.account import Account
    from infra.deployed.stack import find

    return find(account.account() or Account(), name)


def _letters(
    where: DataDirectory, stack: Stack, account: AccountOptions, reason: str | None
) -> LetterSource:
    """Return the open dead letters of the data directory as a source."""
    if account.given and not _is_local(account.endpoint_url):
        raise CommandError(
            "--dead-letters reads those of one machine; for a stack, write a file with `orders"
            " dead-letters list --to-file FILE --stack NAME`, and replay that"
        )
    letters = open_dead_letters(where.reader(), stack.dead_letter_queues)
    return LetterSource(selected(letters, reason, None))


def _forecast(
    items: Iterable[Item],
    choice: Choice,
    where: DataDirectory,
    stack: Stack,
    *,
    from_archive: bool = False,
) -> dict[str, Any]:
    tally, now = Tally(), time.time()
    events = chosen(items, choice, tally)
    result = forecast(events, where, stack, tally, now, from_archive=from_archive)
    return {**result, "state": COMPLETED}


def _replay_archive(
    where: DataDirectory,
    stack: Stack,
    account: AccountOptions,
    asked: Options,
    rate: float | None,
    *,
    dry_run: bool,
) -> dict[str, Any]:
    """Replay the archive of the data directory or of the account, or forecast that."""
    since = moment_of("--since", asked.since) or 0.0
    until = moment_of("--until", asked.until)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    name = asked.name or f"archive-{stamp}"
    find_rules(stack, asked.rules)
    if account.given:
        if dry_run or rate is not None:
            option = "--dry-run" if dry_run else "--rate"
            reads = "AWS has no operation that reads an archive, and replays it at its own speed"
            raise CommandError(f"{option} is for the archive of a data directory: {reads}")
        return _start_on_aws(account, stack, name, since, until or time.time(), asked.rules)
    if dry_run:
        where.require_database()
        rules = find_rules(stack, asked.rules)
        narrowed = replace(stack, rules=rules or stack.rules)
        choice = Choice(Selection(rules=rules), facts=True)
        items = archived(where, since, until)
        return _forecast(items, choice, where, narrowed, from_archive=True)
    return ArchiveReplay(where, stack).run(name, since, until, asked.rules, rate)


def _start_on_aws(
    account: AccountOptions, stack: Stack, name: str, since: float, until: float, rules: list[str]
) -> dict[str, Any]:
    from infra.deployed.archive_replays import ArchiveReplays

    named = account.account()
    assert named is not None
    replays = ArchiveReplays(named, stack.archive)
    replays.start(name, since, until, rules)
    found = replays.find(name)
    console.print(f"{name} is {found['state']}; `orders replays show {name}` with the same options")
    return found


def _end(result: dict[str, Any], *, as_json: bool) -> None:
    """Set the JSON document; raise for a stopped replay, or one with rejected events."""
    finish(result, as_json=as_json)
    if result["state"] == PAUSED and "rejected" in result:
        raise SystemExit(INTERRUPTED)
    if result.get("rejected"):
        number, accepted = result["rejected"], result["accepted"]
        subject = "1 event was" if number == 1 else f"{number:,} events were"
        others = "" if result["dry_run"] else f"; {accepted or 'none'} accepted"
        raise CommandError(f"{subject} rejected{others}")


def _check_sources(
    paths: list[Path] | None, *, archive: bool, dead_letters: bool, reason: str | None
) -> None:
    if bool(paths) + archive + dead_letters != 1:
        raise typer.BadParameter("name files or folders, or say --archive or --dead-letters")
    if reason is not None and not dead_letters:
        raise typer.BadParameter("--reason selects dead letters; say --dead-letters")


def _check_archive(asked: Options, speed: float | None, *, restart: bool) -> None:
    """Raise for options that only a replay of files has."""
    others = {
        "--filter": bool(asked.filters),
        "--limit": asked.limit is not None,
        "--facts": asked.facts,
        "--new-ids": asked.new_ids,
        "--speed": speed is not None,
        "--restart": restart,
    }
    given = [option for option, is_given in others.items() if is_given]
    if given:
        raise typer.BadParameter(
            f"{given[0]} is for files; `orders export` writes the archive to one"
        )


def _check_destination(*, outside: bool, facts: bool, allowed: bool) -> None:
    """Raise `CommandError` for a bus ``outside`` this machine that was not allowed."""
    if not outside:
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
