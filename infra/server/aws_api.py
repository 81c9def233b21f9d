"""The operations that AWS's own clients may call, a closed table.

==================  ===============================================================================
EventBridge         ``PutEvents``, ``TestEventPattern``, ``StartReplay``, ``DescribeReplay``
Step Functions      ``StartExecution``, ``DescribeExecution``, ``GetExecutionHistory``,
                    ``ListExecutions`` (the last three for EXPRESS too, which AWS does not offer)
Orderflow           ``RedriveDeadLetters`` (``ids``: none for all), for ``orders dead-letters``
everything else     ``UnknownOperationException``, with this list
==================  ===============================================================================

Requests and answers are those of the JSON protocols: ``X-Amz-Target`` names the operation, times
are epoch seconds.
"""

import json
import re
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any
from uuid import uuid4

from infra.dead_letters import redrive
from infra.errors import InvalidRequest
from infra.local.engine import Engine
from infra.local.execution_rows import arn, events_in
from infra.local.integrations import TaskError
from infra.local.template import ACCOUNT, REGION
from infra.patterns import InvalidPattern, compile_pattern
from shared import json_text
from shared.sqlite import Database

Answer = dict[str, Any]
HISTORY_PAGE = 1_000
# What the fields of requests are; one that is absent or null is complained of where it is needed.
_KINDS: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("EventPattern", "Event", "ReplayName", "EventSourceArn"), str),
    **dict.fromkeys(("stateMachineArn", "executionArn", "input", "statusFilter"), str),
    "Destination": dict,
    "maxResults": int,
    "ids": list,
}
_NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")


class AwsApi:
    """Answers operations for one engine.

    ``reader`` is a connection of its own, for what is only looked up.
    """

    def __init__(self, engine: Engine, reader: Database) -> None:
        self.engine = engine
        self.reader = reader
        self.operations: Mapping[str, Callable[[Mapping[str, Any]], Answer | Future[Answer]]] = {
            "AWSEvents.PutEvents": self._put_events,
            "AWSEvents.TestEventPattern": self._test_event_pattern,
            "AWSEvents.StartReplay": self._start_replay,
            "AWSEvents.DescribeReplay": self._describe_replay,
            "AWSStepFunctions.StartExecution": self._start_execution,
            "AWSStepFunctions.DescribeExecution": self._describe_execution,
            "AWSStepFunctions.GetExecutionHistory": self._history,
            "AWSStepFunctions.ListExecutions": self._list,
            "Orderflow.RedriveDeadLetters": self._redrive,
        }

    def answer(self, target: str, body: bytes) -> Answer | Future[Answer]:
        """Return the answer to an operation, or the future that will have it.

        Raises
        ------
        InvalidRequest
            Refused, with AWS's error code; also out of the future.
        """
        operation = self.operations.get(target)
        if operation is None:
            known = ", ".join(name.partition(".")[2] for name in self.operations)
            message = f"{target} is not available on one machine; these are: {known}"
            raise InvalidRequest("UnknownOperationException", message)
        try:
            request = json_text.read(body or b"{}")
        except json_text.InvalidJSON as error:
            message = f"the body is not JSON: {error}"
            raise InvalidRequest("SerializationException", message) from None
        if not isinstance(request, dict):
            raise InvalidRequest("SerializationException", "the body is not a JSON object")
        for field, kind in _KINDS.items():
            value = request.get(field)
            if value is not None and not isinstance(value, kind):
                raise InvalidRequest("SerializationException", f"{field} is of another type")
        return operation(request)

    def _put_events(self, request: Mapping[str, Any]) -> Future[Answer]:
        return self.engine.call(lambda now: self.engine.bus.put(request.get("Entries"), now))

    def _test_event_pattern(self, request: Mapping[str, Any]) -> Answer:
        try:
            pattern = compile_pattern(_text(request, "EventPattern"))
        except InvalidPattern as error:
            raise InvalidRequest("InvalidEventPatternException", str(error)) from None
        event = _event(_text(request, "Event"))
        fields = ("id", "account", "source", "time", "region", "resources", "detail-type")
        missing = [field for field in fields if field not in event]
        if missing:
            message = f"Parameter Event is not valid. Reason: {missing[0]} is missing."
            raise InvalidRequest("ValidationException", message)
        return {"Result": pattern.matches(event)}

    def _start_replay(self, request: Mapping[str, Any]) -> Future[Answer]:
        name = _text(request, "ReplayName")
        start, end = (_time(request, key) for key in ("EventStartTime", "EventEndTime"))
        destination = request.get("Destination") or {}
        filters = destination.get("FilterArns") or []
        if not isinstance(filters, list) or not all(isinstance(one, str) for one in filters):
            raise InvalidRequest("SerializationException", "FilterArns is a list of ARNs")
        archive = _text(request, "EventSourceArn").rsplit("/", 1)[-1]
        if archive != self.engine.stack.archive:
            message = f"Archive {archive} does not exist; this machine has"
            raise InvalidRequest(
                "ResourceNotFoundException", f"{message} {self.engine.stack.archive}."
            )
        rules = [rule.rsplit("/", 1)[-1] for rule in filters]

        def replay(now: float) -> Answer:
            self.engine.bus.start_replay(name, start, end, rules, now)
            self.engine.journal.batch.durable = True
            return {"ReplayArn": _replay_arn(name), "State": "STARTING", "ReplayStartTime": now}

        return self.engine.call(replay)

    def _describe_replay(self, request: Mapping[str, Any]) -> Answer:
        name = _text(request, "ReplayName")
        row = self.reader.row("select * from replays where name = ?", name)
        if row is None:
            raise InvalidRequest("ResourceNotFoundException", f"Replay {name} does not exist.")
        stack = self.engine.stack
        archive = f"arn:aws:events:{REGION}:{ACCOUNT}:archive/{stack.archive}"
        bus = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{stack.bus}"
        rules = [
            f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{stack.bus}/{rule}"
            for rule in json.loads(row["rules"])
        ]
        return {
            "ReplayName": name,
            "ReplayArn": _replay_arn(name),
            "State": row["state"],
            "EventSourceArn": archive,
            "Destination": {"Arn": bus, **({"FilterArns": rules} if rules else {})},
            "EventStartTime": row["start_at"],
            "EventEndTime": row["end_at"],
            "EventLastReplayedTime": row["end_at"],
            "ReplayStartTime": row["started_at"],
            "ReplayEndTime": row["ended_at"],
        }

    def _start_execution(self, request: Mapping[str, Any]) -> Future[Answer]:
        machine = self._machine(_text(request, "stateMachineArn"))
        name = request.get("name") or str(uuid4())
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidRequest("InvalidName", f"Invalid Name: '{name}'")
        try:
            body = json_text.read(request.get("input") or "{}")
        except json_text.InvalidJSON as error:
            message = f"Invalid State Machine Execution Input: {error}"
            raise InvalidRequest("InvalidExecutionInput", message) from None

        def start(now: float) -> Answer:
            try:
                started = self.engine.executions.start(machine, name, body, now)
            except TaskError as error:
                code = error.error.rpartition(".")[2].removesuffix("Exception")
                code = {"DataLimitExceeded": "InvalidExecutionInput"}.get(code, code)
                raise InvalidRequest(code, str(error)) from None
            self.engine.journal.batch.durable = True
            return {"executionArn": started, "startDate": now}

        return self.engine.call(start)

    def _describe_execution(self, request: Mapping[str, Any]) -> Answer:
        row = self._execution(request)
        machine = self.engine.stack.machines[row["machine"]]
        answer = {
            **_summary(row, machine),
            "input": row["input"],
            "inputDetails": {"included": True},
        }
        for field in ("error", "cause"):
            if row[field] is not None:
                answer[field] = row[field]
        if row["status"] == "SUCCEEDED":
            answer |= {"output": row["output"], "outputDetails": {"included": True}}
        return answer

    def _history(self, request: Mapping[str, Any]) -> Answer:
        row = self._execution(request)
        events = execution_history(self.reader, row["id"])
        if request.get("reverseOrder"):
            events.reverse()
        size = request.get("maxResults") or HISTORY_PAGE
        first = _token(request, 0)
        page: Answer = {"events": events[first : first + size]}
        if first + size < len(events):
            page["nextToken"] = str(first + size)
        return page

    def _list(self, request: Mapping[str, Any]) -> Answer:
        name = self._machine(_text(request, "stateMachineArn"))
        size = request.get("maxResults") or 100
        before = _token(request, 1 << 62)
        status = request.get("statusFilter")
        rows = self.reader.rows(
            "select * from executions where machine = ? and id < ? and (? is null or status = ?)"
            " order by id desc limit ?",
            name,
            before,
            status,
            status,
            size,
        )
        machine = self.engine.stack.machines[name]
        page: Answer = {"executions": [_summary(row, machine) for row in rows]}
        if len(rows) == size:
            page["nextToken"] = str(rows[-1]["id"])
        return page

    def _redrive(self, request: Mapping[str, Any]) -> Future[Answer]:
        ids = request.get("ids") or []
        if not all(type(number) is int for number in ids):
            raise InvalidRequest("SerializationException", "ids is a list of numbers")
        return self.engine.call(lambda now: {"redriven": redrive(self.engine, ids, now)})

    def _machine(self, reference: str) -> str:
        try:
            return self.engine.stack.named("machines", reference)
        except KeyError:
            message = f"State Machine Does Not Exist: '{reference}'"
            raise InvalidRequest("StateMachineDoesNotExist", message) from None

    def _execution(self, request: Mapping[str, Any]) -> Any:
        reference = _text(request, "executionArn")
        _, _, tail = reference.partition(":execution:")
        row = None
        if tail:
            machine, _, name = tail.partition(":")
            row = self.reader.row(
                "select * from executions where machine = ? and name = ?", machine, name
            )
        elif ":express:" in reference and (number := reference.rpartition(":")[2]).isdecimal():
            row = self.reader.row("select * from executions where id = ?", int(number))
        if row is None:
            message = f"Execution Does Not Exist: '{reference}'"
            raise InvalidRequest("ExecutionDoesNotExist", message)
        return row


def execution_history(reader: Database, number: int) -> list[Any]:
    """Return an execution's events, oldest first, in the shape of GetExecutionHistory."""
    rows = reader.rows("select piece from history where execution_id = ? order by id", number)
    return [event.to_json() for row in rows for event in events_in(row["piece"])]


def _event(text: str) -> dict[str, Any]:
    """Return a test event, or refuse it as AWS does where it is no JSON object."""
    try:
        event = json_text.read(text)
        problem = "" if isinstance(event, dict) else "it is not a JSON object"
    except json_text.InvalidJSON as error:
        event, problem = {}, str(error)
    if problem:
        message = f"Parameter Event is not valid. Reason: {problem}."
        raise InvalidRequest("ValidationException", message)
    return dict(event)


def _summary(row: Any, machine: Any) -> Answer:
    answer = {
        "executionArn": arn(machine, row["name"], row["id"]),
        "stateMachineArn": machine.arn,
        "name": row["name"],
        "status": row["status"],
        "startDate": row["started_at"],
    }
    if row["ended_at"] is not None:
        answer["stopDate"] = row["ended_at"]
    return answer


def _replay_arn(name: str) -> str:
    return f"arn:aws:events:{REGION}:{ACCOUNT}:replay/{name}"


def _token(request: Mapping[str, Any], default: int) -> int:
    token = str(request.get("nextToken") or default)
    if not token.isdecimal() or len(token) > len(str(1 << 62)):
        raise InvalidRequest("InvalidToken", f"Invalid Token: '{token[:80]}'")
    return int(token)


def _text(request: Mapping[str, Any], field: str) -> str:
    value = request.get(field)
    if not isinstance(value, str) or not value:
        raise InvalidRequest("ValidationException", f"{field} is missing; send it as text.")
    return value


def _time(request: Mapping[str, Any], field: str) -> float:
    value = request.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest("ValidationException", f"{field} is missing; send epoch seconds.")
    return float(value)
