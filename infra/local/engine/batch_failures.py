"""Reasons of failed messages, as their function gave them."""

from collections.abc import Sequence

from kernel.json_text import parse
from lambda_support.batches import FAILED_MESSAGES


def failure_reasons(metrics: Sequence[str]) -> dict[str, str]:
    """Return the reasons in an invocation's EMF documents, by the ids of the messages."""
    found: dict[str, str] = {}
    for line in metrics:
        if FAILED_MESSAGES not in line:
            continue
        try:
            told = parse(line)[FAILED_MESSAGES]
            found |= {str(message): _storable(reason) for message, reason in told.items()}
        except (AttributeError, KeyError, TypeError, ValueError):
            continue  # a document of another form: it is counted as a malformed metric
    return found


def _storable(reason: object) -> str:
    """Return text without lone surrogates, which SQLite does not store."""
    return str(reason).encode(errors="replace").decode()
