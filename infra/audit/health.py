"""The health of an installation and its data directory, as quick checks."""

import importlib
import shutil
import socket
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from infra.audit.quick import quick_findings
from infra.local.directory.data_directory import DataDirectory, DataDirectoryError
from infra.local.directory.schema import VERSION
from infra.local.platform import stack_of
from infra.local.template.errors import TemplateError
from infra.local.template.project import TEMPLATE
from infra.views.summary import failures

PACKAGES = (
    "aws_lambda_powertools",
    "aws_xray_sdk",
    "boto3",
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
"""The newest failed items, which are named."""

FREE_BYTES = 500_000_000
SQLITE = (3, 38)
"""The first version with JSON operators built in."""

_FOLLOW = "follow the message"


@dataclass(frozen=True, slots=True)
class Check:
    """A check: its result and, after a failure, the remedy."""

    name: str
    result: str
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Whether the check passed."""
        return not self.remedy

    def to_json(self) -> dict[str, Any]:
        """Return the check as ``orders doctor --json`` prints it."""
        return {"name": self.name, "found": self.result, "mend": self.remedy, "ok": self.ok}


def check_health(where: DataDirectory, port: int) -> list[Check]:
    """Return all checks of the installation, a data directory, and a port to serve on."""
    return [
        _python(),
        _sqlite(),
        _packages(),
        _template(where),
        _handlers(where),
        _data(where),
        _orders(where),
        _items(where),
        _disk(where),
        _port(where, port),
    ]


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    is_new = sys.version_info >= (3, 11)
    return Check("Python", version, "" if is_new else "install Python 3.11 or newer")


def _sqlite() -> Check:
    is_new = sqlite3.sqlite_version_info >= SQLITE
    remedy = "" if is_new else "use a Python with SQLite 3.38 or newer"
    return Check("SQLite", sqlite3.sqlite_version, remedy)


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
        return Check(name, f"{where.root}, created by the first run")
    try:
        where.check_writable()
    except DataDirectoryError as error:
        return Check(name, str(error), _FOLLOW)
    return Check(name, f"{where.root}, writable")


def _orders(where: DataDirectory) -> Check:
    """Run the quick part of an audit; a directory of an older version is not upgraded."""
    name = "orders"
    if not where.database.exists():
        return Check(name, "none yet")
    try:
        with closing(where.reader(unmigrated=True)) as database:
            [(version,)] = database.rows("pragma user_version")
            if version < VERSION:
                return Check(name, f"of version {version}, upgraded by the next command")
            findings = quick_findings(database)
    except DataDirectoryError as error:
        return Check(name, str(error), _FOLLOW)
    except sqlite3.DatabaseError as error:
        return Check(name, str(error), "restore the last good backup with `orders restore`")
    if not findings:
        return Check(name, "orders in flight keep every invariant")
    first = findings[0]
    remedy = f"{first.remedy}; `orders audit` checks all orders"
    return Check(name, f"{first.subject}: {first.problem}", remedy)


def _items(where: DataDirectory) -> Check:
    """Name the items whose handling failed within the last day."""
    name = "items"
    if not where.database.exists():
        return Check(name, "none yet")
    try:
        reader = where.reader(unmigrated=True)
    except DataDirectoryError as error:
        return Check(name, str(error), _FOLLOW)
    table = reader.row("select 1 from sqlite_master where name = 'failures'")
    failed = failures(reader, "at > ?", time.time() - DAY) if table else []
    reader.close()
    if not failed:
        return Check(name, "none failed within a day")
    named = [
        f"{item['kind']} {item['item']}: {item['error']}: {item['message']}" for item in failed
    ]
    more = f"; and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    result = f"{len(named)} failed within a day: {'; '.join(named[-SHOWN:])}{more}"
    return Check(name, result, f"find their traces in {where.log}")


def _disk(where: DataDirectory) -> Check:
    existing = where.root
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    return Check(
        "disk", f"{free / 1e9:.1f} GB free", "" if free >= FREE_BYTES else "free some space"
    )


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
