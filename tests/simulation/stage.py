"""The platform's parts in a simulated process: template, stores, handlers and hooks.

`staged` patches the shipped code: a virtual clock, chance from the seed, stores in memory, partners
that may be unavailable, and a hook before and after each commit. It removes all patches at its end.
"""

import logging
import os
import secrets
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import cache, wraps
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import orjson
import pytest

import infra.local.engine.schedules
import infra.local.engine.streams
import kernel.clock
import kernel.time_ordered_id
import lambda_support.observability
import storage.sqlite.database
from infra.local.engine.parquet import UnconvertibleRows
from infra.local.orderflow import create_tables
from infra.local.stack_loader import load
from infra.local.template.project import TEMPLATE
from infra.local.template.stack import Stack
from infra.local.workers.execution_environment import COMMON, Context
from infra.local.workers.invocations import Invocation
from kernel.errors import CarrierError, MailError, OrderflowError, PaymentGatewayError
from lambda_support import settings
from lambda_support.settings import PerFunction
from notifications.mail import BOUNCING, SandboxMailer
from notifications.model import Mail
from payments.gateway import SandboxGateway
from shipping.carrier import SandboxCarrier
from storage.sqlite.database import Database
from tests.simulation import approvals
from tests.simulation.dice import Dice

STORE, SANDBOX = "sqlite:///:memory:", "sqlite:///:memory:?of=sandbox"
SERVICES = ("orders", "inventory", "payments", "shipping", "notifications", "high_value")
WORKFLOW_TYPES = ("EXPRESS", "EXPRESS", "EXPRESS", "STANDARD")
UNSTAGED = "DailyReportFunction"
"""The function that reads Parquet files, which most simulations do not write."""


class Hooks(Protocol):
    """The calls of the stage to the simulated world."""

    dice: Dice

    def now(self) -> float:
        """Return the virtual time."""

    def chance(self) -> float:
        """Return the next number in [0, 1) for jitter and ids."""

    def at_commit(self, moment: str) -> None:
        """Handle a moment ``before`` or ``after`` the commit of a transaction."""

    def partner(self, call: str, order_id: str) -> str | None:
        """Return the fault of a partner in this call: ``away``, ``unheard`` or None."""

    def mailed(self, name: str) -> None:
        """Record a mail."""

    def sink(self, path: Path, lines: list[bytes]) -> None:
        """Take a file of the analysts' sink, or raise `OSError`."""

    def fits(self, line: bytes) -> bool:
        """Return whether a row converts."""


class _Unmeasured:
    """Metrics that are discarded."""

    metric_set: Mapping[str, Any] = {}

    def add_metric(self, **_: Any) -> None:
        """Do nothing."""

    def add_metadata(self, *_: Any) -> None:
        """Do nothing."""


class _Silent:
    """A log that is discarded."""

    name = "simulation"
    log_level = logging.INFO

    def info(self, *_: Any, **__: Any) -> None:
        """Do nothing."""

    debug = warning = exception = info


@cache
def _defined(database: Database, schema: str) -> None:
    """Create a schema's tables once per database."""
    with database.write_lock():
        database.connection.executescript(schema)


class Stage:
    """The shipped platform's parts, in memory."""

    def __init__(self, root: Path, hooks: Hooks) -> None:
        self.root = root
        self.hooks = hooks
        self.stack = _stack(root, hooks)
        self.store = storage.sqlite.database.database(STORE)
        self.sandbox = storage.sqlite.database.database(SANDBOX)
        create_tables(self.store)
        SandboxGateway(self.sandbox, hooks.now)
        SandboxCarrier(self.sandbox)
        self._function = ""
        self.restarted()

    def restarted(self) -> None:
        """Clear the caches of a process."""
        for service in SERVICES:
            for value in vars(import_module(f"{service}.wiring")).values():
                if isinstance(value, PerFunction):
                    value.cache_clear()

    def enter(self, function: str) -> None:
        """Set this process's environment to that of a function."""
        if function == self._function:
            return
        settings.enter(function)
        before = self._environment(self._function) if self._function else {}
        after = self._environment(function)
        for name in before.keys() - after.keys():
            os.environ.pop(name, None)
        for name, value in after.items():
            if before.get(name) != value:
                os.environ[name] = value
        self._function = function

    def _environment(self, function: str) -> dict[str, str]:
        environment = self.stack.functions[function].variables
        return {**environment, "AWS_LAMBDA_FUNCTION_NAME": function}

    def call(self, invocation: Invocation) -> tuple[Any, dict[str, Any] | None]:
        """Run a handler; return its answer, or its error in Lambda's form.

        Raises
        ------
        AssertionError
            The handler raised an error that is not the platform's own.
        """
        function = invocation.function
        context = Context(
            {"name": function.name, "arn": function.arn, "memory": 0, "timeout": 1}, "1"
        )
        try:
            answer = _handler(function.handler)(orjson.loads(invocation.payload), context)
            return orjson.loads(orjson.dumps(answer)), None
        except OrderflowError as error:
            return None, {"errorType": type(error).__name__, "errorMessage": str(error)}
        except Exception as error:
            traceback.print_exc()
            raise AssertionError(f"{function.name} raised {error!r}") from error


@contextmanager
def staged(root: Path, hooks: Hooks) -> Iterator[Stage]:
    """Patch the shipped code for a simulation."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in COMMON.items():
            patch.setenv(name, value)
        patch.setenv("POWERTOOLS_LOG_LEVEL", "CRITICAL")
        patch.setattr(kernel.clock, "now", hooks.now)
        patch.setattr(lambda_support.observability, "metrics", _Unmeasured)
        patch.setattr(logging.root.manager, "disable", logging.CRITICAL)
        patch.setattr(lambda_support.observability, "logger", _Silent)
        patch.setattr(Database, "define", _defined)
        patch.setattr(Database, "write", _hooked(Database.write, hooks))
        uuid = _uuids(hooks)
        patch.setattr(kernel.time_ordered_id, "urandom", lambda number: uuid().bytes[-number:])
        patch.setattr(infra.local.engine.schedules, "uuid4", uuid)
        patch.setattr(secrets, "token_hex", lambda _: uuid().hex)
        _patch_partners(patch, hooks)
        storage.sqlite.database.database.cache_clear()
        environment = dict(os.environ)
        stage = Stage(root, hooks)
        for function in stage.stack.functions.values():
            module = import_module(function.handler.rpartition(".")[0])
            patch.setattr(module, "logger", _Silent, raising=False)
        try:
            yield stage
        finally:
            stage.restarted()
            settings.enter("")
            os.environ.clear()
            os.environ.update(environment)
            for database in (stage.store, stage.sandbox):
                database.close()
            _defined.cache_clear()
            storage.sqlite.database.database.cache_clear()


@cache
def _template(root: Path, workflow_type: str, own: tuple[tuple[str, str], ...]) -> Stack:
    """Return the shipped template's stack, with stores in memory and files in a folder."""

    def environment(variable: str, value: str) -> str:
        scheme, _, rest = value.partition("://")
        if scheme in {"dynamodb", "ses"}:
            return STORE if rest == "OrdersTable" else SANDBOX
        if scheme in {"s3", "athena"}:
            return f"file:///{root}"
        return {"POWERTOOLS_LOG_LEVEL": "CRITICAL"}.get(variable, value)

    parameters = {"MaxAttempts": "3", "WorkflowType": workflow_type, **dict(own)}
    stack = load(TEMPLATE, parameters, environment)
    stack.schedules = [entry for entry in stack.schedules if entry.function != UNSTAGED]
    return stack


def _stack(root: Path, hooks: Hooks) -> Stack:
    """Return the stack with chance from the seed."""
    own = tuple(approvals.parameters(hooks.dice).items())
    stack = replace(_template(root, hooks.dice.pick(WORKFLOW_TYPES, "workflow type"), own))
    stack.state_machines = {
        name: replace(workflow, machine=replace(workflow.machine, random=hooks.chance))
        for name, workflow in stack.state_machines.items()
    }
    return stack


@cache
def _handler(path: str) -> Callable[[Any, Context], Any]:
    module, _, attribute = path.rpartition(".")
    handler: Callable[[Any, Context], Any] = getattr(import_module(module), attribute)
    return handler


def _hooked(
    write: Callable[..., AbstractContextManager[Any]], hooks: Hooks
) -> Callable[..., AbstractContextManager[Any]]:
    @contextmanager
    @wraps(write)
    def hooked(database: Database, **how: bool) -> Iterator[Any]:
        hooks.at_commit("before")
        with write(database, **how) as connection:
            yield connection
        hooks.at_commit("after")

    return hooked


def _uuids(hooks: Hooks) -> Callable[[], Any]:
    return lambda: hooks.dice.uuid(hooks.chance())


def _patch_partners(patch: pytest.MonkeyPatch, hooks: Hooks) -> None:
    """Make the gateway and the carrier fail by the seed's faults; collect mails and files."""
    for kind, name, error in (
        (SandboxGateway, "charge", PaymentGatewayError),
        (SandboxGateway, "find", PaymentGatewayError),
        (SandboxGateway, "refund", PaymentGatewayError),
        (SandboxGateway, "void", PaymentGatewayError),
        (SandboxCarrier, "create", CarrierError),
        (SandboxCarrier, "void", CarrierError),
    ):
        patch.setattr(kind, name, _partner(kind, name, error, hooks))

    def send(_: SandboxMailer, name: str, mail: Mail) -> None:
        if mail.recipient.lower().endswith(BOUNCING) or hooks.partner("mail", name) == "away":
            raise MailError(f"no mail for {name}")
        hooks.mailed(name)

    patch.setattr(SandboxMailer, "send", send)

    def converts(_: Mapping[str, str]) -> Callable[[list[bytes]], str]:
        return lambda lines: "" if all(map(hooks.fits, lines)) else "a row does not convert"

    def write_parquet(lines: list[bytes], _: Mapping[str, str], path: Path) -> None:
        if not all(map(hooks.fits, lines)):
            raise UnconvertibleRows
        hooks.sink(path, lines)

    patch.setattr(infra.local.engine.streams, "conversion_here", converts)
    patch.setattr(infra.local.engine.streams, "conversion_in_process", converts)
    patch.setattr(infra.local.engine.streams, "write_parquet", write_parquet)
    patch.setattr(
        infra.local.engine.streams,
        "write_lines",
        lambda path, content: hooks.sink(path, content.splitlines()),
    )


def _partner(kind: type, name: str, error: type[Exception], hooks: Hooks) -> Callable[..., Any]:
    original = getattr(kind, name)

    @wraps(original)
    def call(self: Any, subject: Any) -> Any:
        order_id = getattr(subject, "order_id", str(subject)[:8])
        fault = hooks.partner(f"{kind.__name__}.{name}", order_id)
        if fault == "away":
            raise error(f"{kind.__name__} is away")
        answer = original(self, subject)
        if fault == "unheard":
            raise error(f"{kind.__name__} is not heard")
        return answer

    return call
