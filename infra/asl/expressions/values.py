"""JSON values: their text, its length, and timestamps."""

import json
import re
from datetime import UTC, datetime
from typing import Any, TypeAlias

import orjson

from infra.asl.errors import TerminalFailure
from kernel.json_text import MAX_CARRIED

JSON: TypeAlias = Any
"""Any JSON value. States share values, so they must not be changed in place."""

_MAX_DATA_BYTES = 262_144  # "Service quotas" of AWS Step Functions: input or output of a state
_TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE
)


def to_json_text(value: JSON) -> str:
    """Return JSON text as AWS writes it: without blanks and optional escapes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def to_plain_text(value: JSON) -> str:
    """Return a string unchanged, any other value as JSON text."""
    return value if isinstance(value, str) else to_json_text(value)


def exceeds_data_limit(value: JSON, size: int | None = None, limit: int = _MAX_DATA_BYTES) -> bool:
    """Return whether a value exceeds 256 KiB, or another limit in bytes, as JSON text.

    ``size`` is its length in bytes, if the caller knows it; otherwise the value is serialised.

    Raises
    ------
    TerminalFailure
        The value is nested too deep to be serialised.
    """
    if size is None:
        try:
            size = len(orjson.dumps(value))
        except TypeError:  # nested deeper, or with larger integers, than orjson writes
            size = _count_bytes(value)
    return size > limit


def _count_bytes(value: JSON) -> int:
    """Return the length of a value's JSON text, or any length above the limit if it exceeds it.

    A value may contain another value many times, so its text may be far longer than its memory.
    """
    size, depth, level = 0, 0, [value]
    while level and size <= _MAX_DATA_BYTES:
        if depth > MAX_CARRIED:
            raise TerminalFailure(f"The data is nested deeper than {MAX_CARRIED} levels.")
        below: list[JSON] = []
        for node in level:
            if isinstance(node, dict):
                size += 2 + max(0, 2 * len(node) - 1)
                below += node.keys()
                below += node.values()
            elif isinstance(node, list):
                size += 2 + max(0, len(node) - 1)
                below += node
            else:
                size += len(str(node)) if isinstance(node, int) else len(orjson.dumps(node))
        level, depth = below, depth + 1
    return size


def parse_timestamp(value: JSON) -> float | None:
    """Return the epoch seconds of an RFC 3339 timestamp with ``T`` and an offset or ``Z``.

    Any other value gives None.
    """
    shape = _TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    if shape is None:
        return None
    seconds, fraction, offset = shape.groups()
    try:
        moment = datetime.fromisoformat(f"{seconds}{'+00:00' if offset in 'Zz' else offset}")
    except ValueError:
        return None
    return moment.timestamp() + float(fraction or 0)


def format_timestamp(epoch: float) -> str:
    """Return a time in UTC as the context object has it: ``2026-01-31T12:00:00.000Z``."""
    return f"{datetime.fromtimestamp(epoch, UTC).isoformat(timespec='milliseconds')[:-6]}Z"
