"""JSON values: their text, its length, and the timestamps among them."""

import json
import re
from datetime import UTC, datetime
from typing import Any, TypeAlias

JSON: TypeAlias = Any
"""Any JSON value. States share such values; nobody changes one in place."""

_MAX_DATA_BYTES = 262_144  # "Service quotas" of AWS Step Functions: input or output of a state
_WIDEST_CHARACTER = 6  # `\u001f`: no character takes more bytes as JSON text in UTF-8
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
    """
    if size is None and _most_bytes(value) > _MAX_DATA_BYTES:
        size = len(to_json_text(value).encode())
    return size is not None and size > _MAX_DATA_BYTES


def _most_bytes(value: JSON) -> int:
    """An upper bound of the text's length."""
    if isinstance(value, str):
        return _WIDEST_CHARACTER * len(value) + 2
    if isinstance(value, dict):
        fields = 2 * len(value) + 2
        return fields + sum(map(_most_bytes, value)) + sum(map(_most_bytes, value.values()))
    if isinstance(value, list):
        return 2 + len(value) + sum(map(_most_bytes, value))
    return 24 + (value.bit_length() if isinstance(value, int) else 0)


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
