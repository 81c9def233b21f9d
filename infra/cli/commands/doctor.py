"""``orders doctor``: checks the installation, and says how to mend it."""

import importlib
import shutil
import socket
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from infra.audit.quick import quick_findings
from infra.cli.options import DATA, Data, Json, directory
from infra.cli.output import CommandError, Styled, Table, console, finish
from infra.local.directory.data_directory import DataDirectory, DataDirectoryError
from infra.local.directory.journal import VERSION
from infra.local.platform import TEMPLATE, stack_of
from infra.local.template.loader import TemplateError
from infra.views.summary import failures

PACKAGES = (
    "aws_lambda_powertools",
    "aws_xray_sdk",
    "boto3",
    "cronsim",
    "duckdb",
    "httptools",
    "orjson",
    "pydantic",
    "rich",
    "typer",
    "uvicorn",
    "yaml",
)
DAY = 86_400.0
SHOWN = 5
"""Failed items that are named, the newest."""

FREE_BYTES = 500_000_000
SQLITE = (3, 38)
"""Versions before have no JSON operators built in."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, what was found, and, if that is bad, what mends it."""

    name: str
    found: str
    mend: str = ""

    @property
    def good(self) -> bool:
        """Whether there is nothing to mend."""
        return not self.mend


def doctor(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to serve on.")] = 8080,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Check the installation, and say how to mend what is wrong."""
    where = directory(data)
    checks = [
        _python(),
        _sqlite(),
        _packages(),
        _template(where),
        _handlers(where),
        _data(where),
        _orders(where),
        _items(where),
        _space(where),
        _port(where, port),
    ]
    table = Table("", "check", "found", "to mend it")
    for check in checks:
        mark = Styled("ok", "green") if check.good else Styled("!!", "red")
        table.add_row(mark, check.name, check.found, check.mend)
    console.print(table)
    bad = [check for check in checks if not check.good]
    result = {"ok": not bad, "checks": [{**asdict(check), "ok": check.good} for check in checks]}
    finish(result, as_json=as_json)
    if bad:
        raise CommandError(f"{len(bad)} of {len(checks)} checks failed; see the table")


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 11)
    return Check("Python", version, "" if good else "install Python 3.11 or newer")


def _sqlite() -> Check:
    good = sqlite3.sqlite_version_info >= SQLITE
    mend = "" if good else "use a Python whose SQLite is 3.38 or newer"
    return Check("SQLite", sqlite3.sqlite_version, mend)


def _packages() -> Check:
    missing = [name for name in PACKAGES if not _imports(name)]
    if missing:
        return Check("packages", f"missing: {', '.join(missing)}", "run `make run` in the project")
    return Check("packages", f"{len(PACKAGES)} import")


def _imports(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def _template(where: DataDirectory) -> Check:
    try:
        stack = stack_of(where)
    except TemplateError as error:
        return Check("template", str(error), f"correct {TEMPLATE.name} or the file named")
    counts = (len(stack.functions), len(stack.rules), len(stack.state_machines))
    return Check("template", "{} functions, {} rules, {} workflows".format(*counts))


def _handlers(where: DataDirectory) -> Check:
    try:
        functions = stack_of(where).functions
        for function in functions.values():
            module = function.handler.rpartition(".")[0]
            importlib.import_module(module)
    except (ImportError, TemplateError) as error:
        return Check("handlers", str(error), "correct the module named, or install again")
    return Check("handlers", f"{len(functions)} import")


def _data(where: DataDirectory) -> Check:
    name = "data directory"
    served = where.served_at()
    if served:
        return Check(name, f"{where.root}, served at {served}")
    if not where.root.exists():
        return Check(name, f"{where.root}, made by the first run")
    try:
        where.check_writable()
    except DataDirectoryError as error:
        return Check(name, str(error), "do what it says")
    return Check(name, f"{where.root}, writable")


def _orders(where: DataDirectory) -> Check:
    """Run the quick part of an audit; a directory of an older version is left as it is."""
    name = "orders"
    if not where.database.exists():
        return Check(name, "none yet")
    try:
        with closing(where.reader(unmigrated=True)) as database:
            [(version,)] = database.rows("pragma user_version")
            if version < VERSION:
                return Check(name, f"of version {version}, brought up to date by the next command")
            found = quick_findings(database)
    except DataDirectoryError as error:
        return Check(name, str(error), "do what it says")
    except sqlite3.DatabaseError as error:
        return Check(name, str(error), "restore the last good backup with `orders restore`")
    if not found:
        return Check(name, "what is in flight keeps every invariant")
    first = found[0]
    mend = f"{first.mend}; `orders audit` looks at all orders"
    return Check(name, f"{first.subject}: {first.problem}", mend)


def _items(where: DataDirectory) -> Check:
    """Name the items that could not be handled within the last day."""
    name = "items"
    if not where.database.exists():
        return Check(name, "none yet")
    try:
        reader = where.reader(unmigrated=True)
    except DataDirectoryError as error:
        return Check(name, str(error), "do what it says")
    table = reader.row("select 1 from sqlite_master where name = 'failures'")
    failed = failures(reader, "at > ?", time.time() - DAY) if table else []
    reader.close()
    if not failed:
        return Check(name, "none failed within a day")
    named = [f"{one['kind']} {one['item']}: {one['error']}: {one['message']}" for one in failed]
    more = f"; and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    found = f"{len(named)} failed within a day: {'; '.join(named[-SHOWN:])}{more}"
    return Check(name, found, f"look for them in {where.log}")


def _space(where: DataDirectory) -> Check:
    existing = where.root
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    good = free >= FREE_BYTES
    return Check("disk", f"{free / 1e9:.1f} GB free", "" if good else "free some space")


def _port(where: DataDirectory, port: int) -> Check:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            served = where.served_at() or ""
            if served.endswith(f":{port}"):
                return Check("port", f"{port}, served from this directory")
            return Check("port", f"{port}: {error.strerror}", "serve on another with --port")
    return Check("port", f"{port} is free")
