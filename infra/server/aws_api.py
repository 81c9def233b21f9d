"""The operations of AWS's own clients: a closed table.

==================  ===============================================================================
EventBridge         ``PutEvents``, ``TestEventPattern``; the bus, its rules and targets:
                    `infra.server.events_api`; archive and replays: `infra.server.replays_api`
Step Functions      ``StartExecution``, ``DescribeExecution``, ``GetExecutionHistory``,
                    ``ListExecutions`` (these three for EXPRESS too, unlike AWS), ``TestState``;
                    ``StopExecution`` and the state machines: `infra.server.machines_api`;
                    ``RedriveExecution``: `infra.server.redrive_api`;
                    ``ValidateStateMachineDefinition`` and ``DescribeStateMachineForExecution``:
                    `infra.server.definitions_api`;
                    task tokens: `infra.server.task_tokens_api`
SQS                 on dead-letter queues: `infra.server.queues_api`
Orderflow           for ``orders dead-letters``: `infra.server.dead_letters_api`, and groups of
                    them at a pace: `infra.server.letter_jobs_api`; for an operator's
                    actions on orders, reviews and stock: `infra.server.operator_api`
everything else     refused: ``UnknownOperationException``, with this list
==================  ===============================================================================

Requests and responses use the JSON protocols: ``X-Amz-Target`` names the operation, times are epoch
seconds.
"""

import threading
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any
from uuid import uuid4

from infra.errors import InvalidRequest
from infra.local.directory.history_pieces import events_in
from infra.local.engine.engine import Engine
from infra.local.engine.execution_request import check_name, read_input
from infra.local.engine.execution_rows import arn
from infra.local.engine.integrations import TaskError
from infra.patterns import InvalidPattern, TooComplexEvent, compile_pattern, read_event
from infra.server import letter_jobs_api, replays_api, saved_views_api
from infra.server.dead_letters_api import KINDS, letter_operations
from infra.server.definitions_api import DESCRIBE, VALIDATE, describe_for_execution, validate
from infra.server.events_api import bus_operations
from infra.server.fields import (
    MAX_INTEGER,
    Answer,
    Operation,
    Pages,
    choice_of,
    number_in,
    states_name,
    text_of,
    within,
)
from infra.server.local_queues_api import with_local_queues
from infra.server.machines_api import (
    DEFAULT_PAGE,
    MAX_PAGE,
    machine_operations,
    named_execution,
    no_execution,
    state_machine_of,
)
from infra.server.operator_api import FIELD_TYPES, OperatorApi
from infra.server.queues_api import queue_operations
from infra.server.redrive_api import (
    FILTERS,
    REDRIVEN,
    check_list,
    redrive_operations,
    redrive_outline,
    redrive_status,
)
from infra.server.replays_api import READS, ReplaysApi
from infra.server.rules_api import rule_operations
from infra.server.single_state import answer_test_state
from infra.server.task_tokens_api import token_operations
from kernel.json_text import InvalidJSON, read
from storage.sqlite.database import Database

STATUSES = ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "PENDING_REDRIVE")
"""Values of ``statusFilter`` (Step Functions API, ListExecutions)."""

TEST_EVENT_PATTERN, TEST_STATE = "AWSEvents.TestEventPattern", "AWSStepFunctions.TestState"

TESTS = frozenset({TEST_EVENT_PATTERN, TEST_STATE, VALIDATE})
"""Operations that compute an answer from their request alone, which may take seconds."""

LOOKUPS = frozenset(
    {
        *TESTS,
        *READS,
        DESCRIBE,
        "AWSStepFunctions.DescribeExecution",
        "AWSStepFunctions.GetExecutionHistory",
        "AWSStepFunctions.ListExecutions",
    }
)
"""Operations that may take long without the engine; any thread may call them."""

# Types of the fields of requests; a required field that is absent or null is refused later.
_FIELD_TYPES: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("EventPattern", "Event"), str),
    **dict.fromkeys(("stateMachineArn", "executionArn", "input", "statusFilter"), str),
    **dict.fromkeys(
        ("error", "cause", "output", "taskToken", "QueueUrl", "QueueName", "ReceiptHandle"), str
    ),
    **dict.fromkeys(("clientToken", "redriveFilter", "mapRunArn"), str),
    **dict.fromkeys(("definition", "severity", "type"), str),
    **dict.fromkeys(("QueueNamePrefix", "NamePrefix", "EventBusName", "Name", "Rule"), str),
    **dict.fromkeys(("reverseOrder", "includeExecutionData"), bool),
    "Destination": dict,
    "maxResults": int,
    **KINDS,
    **FIELD_TYPES,
    **replays_api.FIELD_TYPES,
    **letter_jobs_api.FIELD_TYPES,
    **saved_views_api.FIELD_TYPES,
}


class AwsApi:
    """The operations on one engine.

    ``reader`` is a separate connection for `LOOKUPS`; one thread at a time uses it.
    """

    def __init__(self, engine: Engine, reader: Database) -> None:
        self.engine = engine
        self.reader = reader
        self._reader_lock = threading.Lock()
        self.operations: Mapping[str, Operation] = {
            "AWSEvents.PutEvents": self._put_events,
            TEST_EVENT_PATTERN: self._test_event_pattern,
            **{
                name: self._with_reader(operation) if name in READS else operation
                for name, operation in ReplaysApi(engine, reader).operations().items()
            },
            "AWSStepFunctions.StartExecution": self._start_execution,
            "AWSStepFunctions.DescribeExecution": self._with_reader(self._describe_execution),
            "AWSStepFunctions.GetExecutionHistory": self._with_reader(self._history),
            "AWSStepFunctions.ListExecutions": self._with_reader(self._list),
            TEST_STATE: answer_test_state,
            VALIDATE: validate,
            DESCRIBE: self._with_reader(partial(describe_for_execution, reader)),
            **machine_operations(engine),
            **redrive_operations(engine),
            **bus_operations(engine),
            **rule_operations(engine),
            **with_local_queues(engine, queue_operations(engine)),
            **token_operations(engine),
            **letter_operations(engine),
            **letter_jobs_api.letter_job_operations(engine),
            **saved_views_api.saved_view_operations(engine),
            **OperatorApi(engine).operations(),
        }

    def answer(self, target: str, body: bytes) -> Answer | Future[Answer]:
        """Return the answer of an operation, or the future of it.

        Raises
        ------
        InvalidRequest
            The request is refused; the future may raise it too.
        """
        operation = self.operations.get(target)
        if operation is None:
            known = ", ".join(name.partition(".")[2] for name in self.operations)
            message = f"{target} is not available on one machine; these are: {known}"
            raise InvalidRequest("UnknownOperationException", message)
        try:
            request = read(body or b"{}")
        except InvalidJSON as error:
            message = f"the body is not JSON: {error}"
            raise InvalidRequest("SerializationException", message) from None
        if not isinstance(request, dict):
            raise InvalidRequest("SerializationException", "the body is not a JSON object")
        for field, value in request.items():
            _check_field(field, value)
        return operation(request)

    def _with_reader(self, operation: Operation) -> Operation:
        """Return an operation that runs with the lock of the reader."""

        def locked(request: Mapping[str, Any]) -> Answer | Future[Answer]:
            with self._reader_lock:
                return operation(request)

        return locked

    def _put_events(self, request: Mapping[str, Any]) -> Future[Answer]:
        return self.engine.call(lambda now: self.engine.put_events(request.get("Entries"), now))

    def _test_event_pattern(self, request: Mapping[str, Any]) -> Answer:
        try:
            pattern = compile_pattern(text_of(request, "EventPattern"))
        except InvalidPattern as error:
            raise InvalidRequest("InvalidEventPatternException", str(error)) from None
        event = _event(text_of(request, "Event"))
        fields = ("id", "account", "source", "time", "region", "resources", "detail-type")
        missing = [field for field in fields if field not in event]
        if missing:
            message = f"Parameter Event is not valid. Reason: {missing[0]} is missing."
            raise InvalidRequest("ValidationException", message)
        try:
            return {"Result": pattern.matches(event)}
        except TooComplexEvent as error:
            message = f"Parameter Event is not valid. Reason: {error}"
            raise InvalidRequest("ValidationException", message) from None

    def _start_execution(self, request: Mapping[str, Any]) -> Future[Answer]:
        state_machine = state_machine_of(self.engine.stack, text_of(request, "stateMachineArn"))
        name = str(uuid4()) if request.get("name") is None else request["name"]
        name = check_name(name)
        body = read_input(request.get("input") or "{}")

        def start(now: float) -> Answer:
            try:
                started = self.engine.executions.start(state_machine, name, body, now)
            except TaskError as error:
                code = error.error.rpartition(".")[2].removesuffix("Exception")
                code = {"DataLimitExceeded": "InvalidExecutionInput"}.get(code, code)
                raise InvalidRequest(code, str(error)) from None
            self.engine.journal.make_real()
            self.engine.journal.batch.durable = True
            begun = self.engine.executions.started_at(state_machine, name, now)
            return {"executionArn": started, "startDate": begun}

        return self.engine.call(start)

    def _describe_execution(self, request: Mapping[str, Any]) -> Answer:
        row = self._execution(request)
        state_machine = self.engine.stack.state_machines[row["machine"]]
        answer = {
            **_summary(self.reader, row, state_machine),
            **redrive_status(self.reader, row, self.engine.clock.now()),
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
        reverse = bool(request.get("reverseOrder"))
        if reverse:
            events.reverse()
        size = within(request, "maxResults", 0, 0, MAX_PAGE) or DEFAULT_PAGE
        page = Pages(request, ("history", row["id"], reverse)).page(events, size, "events")
        if request.get("includeExecutionData") is False:
            page["events"] = [_without_data(event) for event in page["events"]]
        return page

    def _list(self, request: Mapping[str, Any]) -> Answer:
        name = state_machine_of(self.engine.stack, text_of(request, "stateMachineArn"))
        size = within(request, "maxResults", 0, 0, MAX_PAGE) or DEFAULT_PAGE
        status = choice_of(request, "statusFilter", STATUSES)
        redriven = choice_of(request, "redriveFilter", FILTERS)
        check_list(request)
        wanted = None if redriven is None else int(redriven == FILTERS[0])
        pages = Pages(request, ("executions", name, status, redriven))
        before = MAX_INTEGER if pages.position is None else pages.position
        rows = self.reader.rows(
            "select * from executions where machine = ?1 and id < ?2"
            f" and (?3 is null or status = ?3) and (?4 is null or {REDRIVEN} = ?4)"
            " order by id desc limit ?5",
            name,
            before,
            status,
            wanted,
            size + 1,
        )
        state_machine = self.engine.stack.state_machines[name]
        page: Answer = {
            "executions": [_summary(self.reader, row, state_machine) for row in rows[:size]]
        }
        if len(rows) > size:
            page["nextToken"] = pages.token(rows[size - 1]["id"])
        return page

    def _execution(self, request: Mapping[str, Any]) -> Any:
        reference = text_of(request, "executionArn")
        kind, name = states_name(reference, ["execution", "express"])
        row = None
        if kind == "execution":
            row = named_execution(self.reader, name)
        elif (number := number_in(name.rpartition(":")[2])) is not None:
            query = "select * from executions where id = ? and kind = 'EXPRESS'"
            row = self.reader.row(query, number)
            if row is not None and f"{row['machine']}:{row['name']}:{row['id']}" != name:
                row = None
        if row is None:
            raise no_execution(reference)
        return row


def _without_data(event: Answer) -> Answer:
    """Return an event of a history without the inputs and outputs of its details."""
    return {
        key: {name: item for name, item in value.items() if name not in ("input", "output")}
        if isinstance(value, dict)
        else value
        for key, value in event.items()
    }


def execution_history(reader: Database, number: int) -> list[Any]:
    """Return an execution's events, oldest first, in the shape of GetExecutionHistory."""
    rows = reader.rows("select piece from history where execution_id = ? order by id", number)
    return [event.to_json() for row in rows for event in events_in(row["piece"])]


def _summary(database: Database, row: Any, state_machine: Any) -> Answer:
    answer = {
        "executionArn": arn(state_machine, row["name"], row["id"]),
        "stateMachineArn": state_machine.arn,
        "name": row["name"],
        "status": row["status"],
        "startDate": row["started_at"],
    }
    if row["ended_at"] is not None:
        answer["stopDate"] = row["ended_at"]
    return {**answer, **redrive_outline(database, row)}


def _check_field(field: str, value: Any) -> None:
    """Raise `InvalidRequest` for a field of another type, or a number out of range."""
    kind = _FIELD_TYPES.get(field)
    if kind is int and isinstance(value, bool):
        raise InvalidRequest("SerializationException", f"{field} is of another type")
    if kind is not None and value is not None and not isinstance(value, kind):
        raise InvalidRequest("SerializationException", f"{field} is of another type")
    for number in value if isinstance(value, list) else (value,):
        if isinstance(number, int) and abs(number) > MAX_INTEGER:
            raise InvalidRequest("ValidationException", f"{field} is out of range: {number:.3g}")


def _event(text: str) -> dict[str, Any]:
    """Return the event in a TestEventPattern request."""
    try:
        event = read_event(text)
    except InvalidJSON:
        event = None
    if not isinstance(event, dict):
        raise InvalidRequest("ValidationException", "Parameter Event is not valid.")
    return event
