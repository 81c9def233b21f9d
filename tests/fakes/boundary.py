"""An error boundary around a component that a test runs without an engine."""

from pathlib import Path
from typing import Any, cast

from infra.local.directory.crash_marker import CrashMarker
from infra.local.directory.journal import Journal
from infra.local.engine.error_boundary import Boundary, Failures
from infra.local.engine.function_calls import FunctionCalls
from infra.local.engine.metrics import Metrics
from infra.local.template.stack import Stack


def open_boundary(journal: Journal) -> Boundary:
    """Return a boundary whose calls go nowhere and whose log is not written."""
    marker = CrashMarker()
    calls = FunctionCalls(Stack(), cast("Any", None), marker)
    log = Path("/dev/null")
    failures = Failures(journal, Metrics(journal), log, lambda: 0.0)
    return Boundary(journal, calls, failures, marker)
