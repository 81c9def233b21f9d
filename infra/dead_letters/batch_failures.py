"""Reasons of failed messages, as reported by their function."""

from collections.abc import Sequence

from kernel.json_text import parse
from lambda_support.batches import FAILED_MESSAGES


def failure_reasons(metrics: Sequence[str]) -> dict[str, str]:
    """Return the reasons in an invocation's EMF documents, by the ids of the messages."""
    reasons: dict[str, str] = {}
    for line in metrics:
        if FAILED_MESSAGES not in line:
            continue
        try:
            failed = parse(line)[FAILED_MESSAGES]
            reasons |= {str(message): _storable(reason) for message, reason in failed.items()}
        except (AttributeError, KeyError, TypeError, ValueError):
            continue  # of another form: `infra.local.engine.metrics` counts it as malformed
    return reasons


def _storable(reason: object) -> str:
    """Return text without lone surrogates, which SQLite does not store."""
    return str(reason).encode(errors="replace").decode()
