"""Kill a function at its timeout.

The pool checks each busy worker whenever it waits for results, waits no longer than until the next
timeout, and replaces a worker that was killed. The time of an invocation starts when the previous
one on the same worker has ended.
"""

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from infra.local.workers.invocations import timed_out
from infra.local.workers.worker_handle import WorkerHandle


def kill_if_overdue(worker: WorkerHandle) -> dict[str, Any] | None:
    """Kill a worker whose invocation has passed its function's timeout.

    Returns
    -------
    dict or None
        The error of the invocation; None if the worker is idle or within the timeout.
    """
    if not worker.sent or time.monotonic() - worker.since <= worker.sent[0].function.timeout:
        return None
    with suppress(ProcessLookupError):
        os.kill(worker.pid, signal.SIGKILL)
    return timed_out(worker.sent[0].function)


def remaining_times(workers: Iterable[WorkerHandle]) -> list[float]:
    """Return the seconds until the running invocation of each busy worker times out."""
    return [
        worker.since + worker.sent[0].function.timeout - time.monotonic()
        for worker in workers
        if worker.sent
    ]
