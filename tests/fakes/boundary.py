"""An error boundary around a component that a test runs without an engine."""

from pathlib import Path
from typing import Any, cast

from infra.local.boundary import Boundary, Failures
from infra.local.calls import Calls
from infra.local.crash_marker import CrashMarker
from infra.local.journal import Journal
from infra.local.measurements import Measurements
from infra.local.stack import Stack


def open_boundary(journal: Journal) -> Boundary:
    """Return a boundary whose calls go nowhere and whose log is not written."""
    marker = CrashMarker()
    calls = Calls(Stack(), cast("Any", None), marker)
    log = Path("/dev/null")
    failures = Failures(journal, Measurements(journal), log, lambda: 0.0)
    return Boundary(journal, calls, failures, marker)
