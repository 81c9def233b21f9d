"""JSON values: their text, its length, and the timestamps among them."""

import json
import re
from datetime import UTC, datetime
from typing import Any, TypeAlias

import orjson

from infra.asl.errors import TerminalFailure
from kernel.json_text import MAX_CARRIED

JSON: TypeAlias = Any
"""Any JSON value. States share such values; nobody changes one in place."""

_MAX_DATA_BYTES = 262_144  # "Service quotas" of AWS Step Functions: input or output of a state
_TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE
)


def to_json_text(value: JSON) -> str:
    """JSON as AWS writes it: no blanks, nothing escaped that need not be."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def to_plain_text(value: JSON) -> str:
    """A string as it is, anything else as JSON."""
    return value if isinstance(value, str) else to_json_text(value)


def exceeds_data_limit(value: JSON, size: int | None = None) -> bool:
    """Whether a value has more than 256 KiB as JSON text.

    `size` is its length in bytes where somebody knows it; otherwise it is written out if need be.
    Raises TerminalFailure for a value that is nested too deep to be written.
    """
    if size is None:
        try:
            size = len(orjson.dumps(value))
        except TypeError:  # nested deeper, or with larger integers, than orjson writes
            size = _counted(value)
    return size > _MAX_DATA_BYTES


def _counted(value: JSON) -> int:
    """The length of the text; of one beyond the limit, the length that was counted so far.

    A value may hold another one many times, so its text may be far longer than what is in memory.
    """
    size, depth, level = 0, 0, [value]
    while level and size <= _MAX_DATA_BYTES:
        if depth > MAX_CARRIED:
            raise TerminalFailure(f"The data is nested deeper than {MAX_CARRIED} levels.")
        below: list[JSON] = []
        for one in level:
            if isinstance(one, dict):
                size += 2 + max(0, 2 * len(one) - 1)
                below += one.keys()
                below += one.values()
            elif isinstance(one, list):
                size += 2 + max(0, len(one) - 1)
                below += one
            else:
                size += len(str(one)) if isinstance(one, int) else len(orjson.dumps(one))
        level, depth = below, depth + 1
    return size


def parse_timestamp(value: JSON) -> float | None:
    """The epoch seconds of an RFC 3339 timestamp with `T` and an offset or `Z`, or None."""
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
    """As the context object has it, in UTC: `2026-01-31T12:00:00.000Z`."""
    return f"{datetime.fromtimestamp(epoch, UTC).isoformat(timespec='milliseconds')[:-6]}Z"
