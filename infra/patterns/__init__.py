"""Amazon EventBridge's event patterns: compiled once, matched as EventBridge matches them.

A language without I/O that the runtime, the command line and the tests share.
"""

from infra.patterns.explain import explain
from infra.patterns.matching import Pattern, compile_pattern
from infra.patterns.numbers import has_fine_number, read_event
from infra.patterns.overlaps import TooComplexEvent
from infra.patterns.tokens import InvalidPattern

__all__ = [
    "InvalidPattern",
    "Pattern",
    "TooComplexEvent",
    "compile_pattern",
    "explain",
    "has_fine_number",
    "read_event",
]
