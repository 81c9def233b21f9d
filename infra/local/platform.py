"""Opens the platform in a data directory: template, database, workers, engine."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from infra.local.clock import Clock
from infra.local.directory.clock_rebase import rebase
from infra.local.directory.crash_marker import MarkerFile
from infra.local.directory.data_directory import DataDirectory
from infra.local.directory.log_rotation import MEGABYTE, LogRotation
from infra.local.directory.sandbox import clock_for
from infra.local.directory.schema import JOURNAL
from infra.local.directory.wal_truncation import truncate_logs
from infra.local.engine.engine import Engine
from infra.local.orderflow import MAIL_QUEUE, ON_AWS_ALONE, Profile, create_tables, profile_of
from infra.local.retention.pruner import Retention, kept_by
from infra.local.stack_loader import load
from infra.local.template.errors import TemplateError
from infra.local.template.project import TEMPLATE
from infra.local.template.stack import Stack
from infra.local.workers.account import Limits, LimitsError
from infra.local.workers.inline import InlineInvoker
from infra.local.workers.limited import LimitedInvoker, StartedInvoker
from infra.local.workers.pool import WorkerPool
from infra.local.workers.worker import GC_THRESHOLD
from infra.settings.reading import read


def stack_of(
    directory: DataDirectory, template: Path = TEMPLATE, parameters: Mapping[str, str] | None = None
) -> Stack:
    """Return the stack of a template, with its files in a data directory.

    The product's template has the parameters of the directory's settings; ``parameters`` override
    them. Functions behind a route of the HTTP API sync each commit to disk: their answer to a
    client must survive a power cut. The sandbox's mailer has no rate, unlike SES, so mails have as
    many concurrent batches as other messages.
    """
    given = read(directory.root).parameters() if template == TEMPLATE else {}
    values = {**given, **(parameters or {})}
    for name, value in values.items():
        if (name, value) in ON_AWS_ALONE:
            raise TemplateError(f"Parameters.{name}", ON_AWS_ALONE[name, value])
    stack = load(template, values, directory.local_value)
    served = {route.function for route in stack.routes}
    for name in served:
        variables = dict(stack.functions[name].variables)
        variables["STORE_URL"] += "?synchronous=FULL"
        stack.functions[name] = replace(stack.functions[name], variables=variables)
    most = max((consumer.concurrency for consumer in stack.consumers), default=0)
    stack.consumers = [
        replace(consumer, concurrency=most) if consumer.queue == MAIL_QUEUE else consumer
        for consumer in stack.consumers
    ]
    return stack


def _check_names(stack: Stack, profile: Profile) -> None:
    """Raise `TemplateError` if the stack lacks a resource that the profile names."""
    names = {"state_machines": [profile.order_machine]}
    names["queues"] = [profile.outbox_dead_letters, profile.held_orders]
    for kind, required in names.items():
        for name in required:
            if name not in getattr(stack, kind):
                raise TemplateError("Resources", f"has no {name}, which the engine needs")


@contextmanager
def platform(  # noqa: PLR0913 - all but the first are options
    directory: DataDirectory,
    *,
    clock: Clock | None = None,
    workers: int = 2,
    template: Path = TEMPLATE,
    parameters: Mapping[str, str] | None = None,
    limits: Limits | None = None,
) -> Iterator[Engine]:
    """Open a data directory and run the platform in it.

    Without a clock, the directory decides: only a sandbox skips time. With ``limits`` functions are
    called as in a Lambda account that has them, which takes skipped time
    (`infra.local.settle_limited`).

    Raises
    ------
    LimitsError
        There are limits, and the clock does not skip time.
    TemplateError
        The template refers to a missing resource or needs an unsupported feature.
    SettingsError
        A setting is invalid.
    DataDirectoryError
        The directory cannot be used.
    WorkerError
        The handlers cannot be imported.
    """
    stack = stack_of(directory, template, parameters)
    profile = profile_of(stack.state_machines)
    _check_names(stack, profile)
    directory.check_files()
    settings = read(directory.root)
    limit = settings.number("LogMegabytes") * MEGABYTE
    rotation = LogRotation(directory.log, limit, settings.number("LogFiles"))
    with directory.writer() as database, closing(MarkerFile(directory.marker)) as markers:
        rotation.rotate()
        clock = clock or clock_for(database)
        if limits and not clock.skips:
            raise LimitsError(
                f"{directory.root} is a real data directory, in which no call may fail on purpose;"
                " name a new one with --data, or leave --lambda-faults out"
            )
        invoker: StartedInvoker
        if workers:
            invoker = WorkerPool(stack.functions, directory.log, workers)
        else:
            invoker = InlineInvoker(stack.functions, directory.log, markers.engine)
        if limits:
            invoker = LimitedInvoker(invoker, limits, clock)
        try:
            create_tables(database)
            database.define(JOURNAL)
            rebase(directory, database, clock)
            engine = Engine(
                stack, database, directory, invoker, clock, profile=profile, markers=markers
            )
            retention = Retention(directory, database, kept_by(settings), clock.now)
            engine.upkeep += [rotation, retention]
            markers.clear()
            invoker.start()
            before = gc.get_threshold()
            gc.freeze()  # as in the workers: the garbage collector skips imported modules
            gc.set_threshold(GC_THRESHOLD)
            try:
                yield engine
                engine.write_measures()
            finally:
                engine.close()
                gc.set_threshold(*before)
                gc.unfreeze()
        finally:
            invoker.close()
            truncate_logs((directory.database, directory.sandbox))
