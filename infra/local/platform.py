"""Opening the platform in a data directory: template, database, workers, engine."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from high_value.store import SQLiteReviews
from infra.local.directory.clock_rebase import rebase
from infra.local.directory.data_directory import DataDirectory
from infra.local.directory.journal import SCHEMA as JOURNAL
from infra.local.directory.sandbox import clock_for
from infra.local.engine.clock import Clock
from infra.local.engine.crash_marker import MarkerFile
from infra.local.engine.engine import Engine
from infra.local.template.resources import load
from infra.local.template.stack import Stack
from infra.local.workers.inline import InlineInvoker
from infra.local.workers.pool import WorkerPool
from infra.local.workers.worker import GC_THRESHOLD
from inventory.store import SQLiteInventory
from notifications.store import SQLiteMails
from orders.store import SQLiteKeys
from payments.store import SQLiteLedger
from shipping.store import SQLiteShipments

ROOT = Path(__file__).resolve().parents[2]
"""The repository: where the template, the workflows and the contracts are."""

TEMPLATE = ROOT / "template.yaml"

STORES = (SQLiteInventory, SQLiteLedger, SQLiteShipments, SQLiteReviews, SQLiteMails, SQLiteKeys)
"""What creates the services' tables, so that a person can query them from the first moment."""


def stack_of(
    directory: DataDirectory, template: Path = TEMPLATE, parameters: Mapping[str, str] | None = None
) -> Stack:
    """Return the stack that a template asks for, with its files in a data directory."""
    stack = load(template, parameters or {}, directory.local_value)
    served = {route.function for route in stack.routes}
    for name in served:
        # what answers a caller outside must outlive a power cut
        variables = dict(stack.functions[name].variables)
        variables["STORE_URL"] += "?synchronous=FULL"
        stack.functions[name] = replace(stack.functions[name], variables=variables)
    return stack


@contextmanager
def platform(
    directory: DataDirectory,
    *,
    clock: Clock | None = None,
    workers: int = 2,
    template: Path = TEMPLATE,
    parameters: Mapping[str, str] | None = None,
) -> Iterator[Engine]:
    """Open a data directory and run the platform in it.

    Without a clock, the directory decides: time is skipped in a sandbox and nowhere else.

    Raises
    ------
    TemplateError
        The template asks for what is not there or not supported.
    DataDirectoryError
        The directory cannot be used.
    WorkerError
        The handlers cannot be imported.
    """
    stack = stack_of(directory, template, parameters)
    directory.check_files()
    with directory.writer() as database, closing(MarkerFile(directory.marker)) as markers:
        clock = clock or clock_for(database)
        invoker: WorkerPool | InlineInvoker
        if workers:
            invoker = WorkerPool(stack.functions, directory.log, workers)
        else:
            invoker = InlineInvoker(stack.functions, directory.log, markers.engine)
        try:
            for store in STORES:
                store(database)
            database.define(JOURNAL)
            rebase(directory, database, clock)
            engine = Engine(stack, database, directory, invoker, clock, markers=markers)
            markers.clear()
            invoker.start()
            before = gc.get_threshold()
            gc.freeze()  # as in the workers: what is imported is not looked through meanwhile
            gc.set_threshold(GC_THRESHOLD)
            try:
                yield engine
            finally:
                engine.close()
                gc.set_threshold(*before)
                gc.unfreeze()
        finally:
            invoker.close()
