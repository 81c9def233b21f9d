"""The events of an execution, as GetExecutionHistory lists them.

An event holds values; `HistoryEvent.to_json` renders their JSON text on demand.
Source: "HistoryEvent" in the AWS Step Functions API Reference.
"""

import re
from typing import Any, NamedTuple

from infra.asl.expressions.values import JSON, to_json_text

_STATE_TYPE = re.compile(r"^\w+(?=State(?:Entered|Exited)$)")


class HistoryEvent(NamedTuple):
    """One event; `timestamp` is in epoch seconds, `details` holds values, not text."""

    id: int
    previous_event_id: int
    timestamp: float
    type: str
    details: dict[str, JSON]

    def to_row(self) -> list[JSON]:
        """Return the event as it is stored: its fields in order, nothing rendered."""
        return list(self)

    def to_json(self) -> dict[str, JSON]:
        """Return the event in the shape of GetExecutionHistory."""
        event: dict[str, Any] = {
            "timestamp": self.timestamp,
            "type": self.type,
            "id": self.id,
            "previousEventId": self.previous_event_id,
        }
        if self.details:
            kind = _STATE_TYPE.sub("", self.type)
            event[f"{kind[0].lower()}{kind[1:]}EventDetails"] = self._rendered()
        return event

    def _rendered(self) -> dict[str, JSON]:
        rendered: dict[str, Any] = {}
        for field, value in self.details.items():
            match field:
                case "input" | "output":
                    rendered[field] = to_json_text(value)
                    rendered[f"{field}Details"] = {"truncated": False}
                case "parameters":
                    rendered[field] = to_json_text(value)
                case "assignedVariables":
                    rendered[field] = {name: to_json_text(item) for name, item in value.items()}
                    rendered["assignedVariablesDetails"] = {"truncated": False}
                case _ if value is not None:
                    rendered[field] = value
        return rendered
