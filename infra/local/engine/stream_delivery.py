"""A delivery to a stream in progress: its records, the processor's event, and the results."""

import base64
from collections import defaultdict, deque
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

import orjson

from infra.local.template.loader import ACCOUNT, REGION
from infra.local.template.stack import Target
from kernel import json_text


class Chunk(NamedTuple):
    """Records of one call of the processor, with their failed calls and the time of the next."""

    rows: Sequence[Any]
    failed: int = 0
    due: float = 0.0


class Processed(NamedTuple):
    """A processed record, with its row as JSON text."""

    row: Any
    line: bytes


class StreamDelivery:
    """The records of one delivery, from the processor to files."""

    def __init__(
        self,
        target: Target,
        rows: Sequence[Any],
        chunks: Sequence[Sequence[Any]] = (),
        *,
        full: bool = False,
    ) -> None:
        self.target = target
        self.chunks = deque(Chunk(chunk) for chunk in chunks)
        self.first, self.last = rows[0]["id"], rows[-1]["id"]
        self.waiting = 0
        self.full = full
        self.alone = False
        self.answered = False
        self.hopeless: list[tuple[Any, str]] = []
        self.rows: dict[str, list[Processed]] = defaultdict(list)
        self.errors: dict[tuple[str, str], list[bytes]] = defaultdict(list)

    @property
    def is_processed(self) -> bool:
        """Whether the processor has answered for each record."""
        return not self.chunks and self.waiting == 0

    def add_error(self, kind: str, row: Any, code: str, message: str, raw: bytes) -> None:
        """Add a record to the errors of its arrival day."""
        failed = {
            "attemptsMade": 1,
            "arrivalTimestamp": int(row["arrived_at"] * 1000),
            "errorCode": code,
            "errorMessage": message[:1_000],
            "rawData": base64.b64encode(raw).decode(),
        }
        self.errors[kind, day_of(row)].append(orjson.dumps(failed))


def row_problem(line: bytes) -> str:
    """Return why a line is not a row, or an empty text: a row is one JSON object."""
    try:
        row = json_text.read(line)
    except json_text.InvalidJSON as error:
        return f"the row is not JSON: {error}"
    return "" if isinstance(row, dict) else "the row is not a JSON object"


def firehose_event(target: Target, rows: Sequence[Any]) -> dict[str, Any]:
    """Return the processor's event in the form that Firehose sends."""
    return {
        "invocationId": f"{target.name}-{rows[0]['id']}",
        "deliveryStreamArn": f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/{target.name}",
        "region": REGION,
        "records": [
            {
                "recordId": str(row["id"]),
                "approximateArrivalTimestamp": int(row["arrived_at"] * 1000),
                "data": base64.b64encode(envelope_of(row)).decode(),
            }
            for row in rows
        ],
    }


def envelope_of(row: Any) -> bytes:
    """Return a record's event, with the replay's name if it is replayed."""
    envelope: bytes = row["envelope"].encode()
    if row["replay"] is not None:
        envelope = envelope[:-1] + b',"replay-name":' + orjson.dumps(row["replay"]) + b"}"
    return envelope


def day_of(row: Any) -> str:
    """Return the date on which a record arrived, in UTC."""
    return _date(int(row["arrived_at"] // 86_400))


@cache
def _date(number: int) -> str:
    """Return the date of a day since 1970, in UTC."""
    return datetime.fromtimestamp(number * 86_400, UTC).strftime("%Y-%m-%d")
