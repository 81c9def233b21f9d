"""The runtime with a small template, a manual clock and functions that a test answers."""

import sqlite3
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import orjson
import yaml

from infra.local.clock import Clock
from infra.local.directory.data_directory import DataDirectory
from infra.local.engine.engine import Engine
from infra.local.orderflow import Profile, profile_of
from infra.local.stack_loader import load
from infra.local.template.stack import Stack
from infra.local.workers.invocations import Invocation, Result, WorkerState
from infra.server.aws_api import execution_history
from storage.sqlite.database import Database

if TYPE_CHECKING:
    from concurrent.futures import Future

NOW = 1_800_000_000.0
"""2027-01-15T08:00:00Z."""

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0

BUS = "shop-bus"

TEMPLATE = """
Parameters:
  FlowType: {Type: String, Default: STANDARD, AllowedValues: [EXPRESS, STANDARD]}
Resources:
  Bus: {Type: AWS::Events::EventBus, Properties: {Name: shop-bus}}
  Archive:
    Type: AWS::Events::Archive
    Properties:
      ArchiveName: shop-archive
      SourceArn: !GetAtt Bus.Arn
      RetentionDays: 30
      EventPattern: {source: [shop]}
  WorkRule:
    Type: AWS::Events::Rule
    Properties:
      EventBusName: !Ref Bus
      EventPattern: {detail-type: [Work]}
      Targets:
        - Id: Queue
          Arn: !GetAtt Work.Arn
          RetryPolicy: {MaximumRetryAttempts: 3, MaximumEventAgeInSeconds: 3600}
          DeadLetterConfig: {Arn: !GetAtt TargetLetters.Arn}
  SpareRule:
    Type: AWS::Events::Rule
    Properties:
      EventBusName: !Ref Bus
      EventPattern: {detail-type: [Spare]}
      Targets:
        - {Id: Queue, Arn: !GetAtt Work.Arn, RetryPolicy: {MaximumRetryAttempts: 0}}
  FlowRule:
    Type: AWS::Events::Rule
    Properties:
      EventBusName: !Ref Bus
      EventPattern: {detail-type: [Flow]}
      Targets:
        - {Id: Flow, Arn: !Ref Flow, DeadLetterConfig: {Arn: !GetAtt TargetLetters.Arn}}
  NoReplaysRule:
    Type: AWS::Events::Rule
    Properties:
      EventBusName: !Ref Bus
      EventPattern: {detail-type: [Work], replay-name: [{exists: false}]}
      Targets: [{Id: Queue, Arn: !GetAtt Untouched.Arn}]
  Work:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 60
      MessageRetentionPeriod: 86400
      RedrivePolicy: {deadLetterTargetArn: !GetAtt WorkLetters.Arn, maxReceiveCount: 3}
  WorkLetters: {Type: AWS::SQS::Queue, Properties: {MessageRetentionPeriod: 1209600}}
  TargetLetters: {Type: AWS::SQS::Queue, Properties: {MessageRetentionPeriod: 1209600}}
  Untouched: {Type: AWS::SQS::Queue}
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Handler: nowhere.worker
      Events: {Work: {Type: SQS, Properties: {Queue: !GetAtt Work.Arn, BatchSize: 5,
        FunctionResponseTypes: [ReportBatchItemFailures]}}}
  Step: {Type: AWS::Serverless::Function, Properties: {Handler: nowhere.step}}
  Other: {Type: AWS::Serverless::Function, Properties: {Handler: nowhere.other}}
  Tick:
    Type: AWS::Serverless::Function
    Properties:
      Handler: nowhere.tick
      Events: {Often: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(5 minutes)}}}
  Flow:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: shop-flow
      Type: !Ref FlowType
      DefinitionUri: flow.asl.yaml
      DefinitionSubstitutions: {Step: !GetAtt Step.Arn, Other: !GetAtt Other.Arn,
        Letters: !Ref Untouched, WorkQueue: !Ref Work, Bus: !Ref Bus}
  SubFlow:
    Type: AWS::Serverless::StateMachine
    Properties: {Type: STANDARD, DefinitionUri: sub_flow.asl.yaml}
"""

PROFILE = Profile(
    order_machine="shop-flow",
    order_consumer="order_processing",
    outbox_dead_letters="Untouched",
    held_orders="Untouched",
)

WAITS = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 900, "End": True}}}
ONE_STEP = {
    "StartAt": "Step",
    "States": {"Step": {"Type": "Task", "Resource": "${Step}", "End": True}},
}

Handler = Callable[[Any], Any]


class ManualClock(Clock):
    """A clock that only a test moves."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> float:
        return self.time


class FunctionError(Exception):
    """An error of a function, with the name that a workflow sees."""

    def __init__(self, name: str, message: str = "told to") -> None:
        super().__init__(message)
        self.name = name


class FakeFunctions:
    """An invoker (see `infra.local.workers.invocations.Invoker`) with answers from a test.

    A function with a handler answers at the next turn; a test answers each call of the others.
    """

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self.offset = 0.0
        self.handlers = handlers
        self.calls: list[Invocation] = []
        self.on_submit: Callable[[Invocation], None] = lambda _: None
        self._due: deque[Invocation] = deque()
        self._results: list[Result] = []

    def submit(self, invocation: Invocation) -> None:
        self.on_submit(invocation)
        self.calls.append(invocation)
        if invocation.function.name in self.handlers:
            self._due.append(invocation)

    def poll(self, timeout: float) -> list[Result]:
        while self._due:
            invocation = self._due.popleft()
            try:
                answer = self.handlers[invocation.function.name](orjson.loads(invocation.payload))
                self.answer(invocation, answer)
            except FunctionError as error:
                self.fail(invocation, error.name, str(error))
        results, self._results = self._results, []
        return results

    def elapsed(self, number: int) -> float:
        return float("inf")  # as if each call had begun at once

    def wake(self) -> None:
        pass

    def processes(self) -> list[int]:
        return []

    def state(self) -> WorkerState:
        return WorkerState(0, 0, 0)

    def of(self, function: str) -> list[Any]:
        """Return the payloads that a function was called with."""
        return [orjson.loads(call.payload) for call in self.calls if call.function.name == function]

    def answer(self, invocation: Invocation, payload: Any, metrics: Sequence[str] = ()) -> None:
        """Let a call return."""
        self._results.append(Result(invocation.id, payload, None, list(metrics), 0.001))

    def fail(self, invocation: Invocation, error: str, message: str = "told to") -> None:
        """Let a call raise."""
        told = {"errorType": error, "errorMessage": message}
        self._results.append(Result(invocation.id, None, told, [], 0.001))


class Rig:
    """The runtime of a template in a folder; a restart keeps only the folder."""

    def __init__(
        self,
        folder: Path,
        *,
        flow: Mapping[str, Any] = ONE_STEP,
        sub_flow: Mapping[str, Any] = WAITS,
        handlers: Mapping[str, Handler] | None = None,
        parameters: Mapping[str, str] | None = None,
        template: str = TEMPLATE,
        stack: Callable[[DataDirectory], Stack] | None = None,
    ) -> None:
        self.folder = folder
        self.directory = DataDirectory(folder / "data")
        self.clock = ManualClock()
        self.handlers = dict(handlers or {})
        self.parameters = dict(parameters or {})
        self._stack = stack or self._load
        self.failures_expected = False
        (folder / "template.yaml").write_text(template)
        self.define(flow)
        self.define(sub_flow, "sub_flow")
        self._open()

    def define(self, flow: Mapping[str, Any], name: str = "flow") -> None:
        """Change a workflow's definition; a restart reads it."""
        write_definition(self.folder, name, flow)

    def _load(self, directory: DataDirectory) -> Stack:
        return load(self.folder / "template.yaml", self.parameters, directory.local_value)

    def _open(self) -> None:
        stack = self._stack(self.directory)
        self._writer = self.directory.writer()
        self.database = self._writer.__enter__()
        self.functions = FakeFunctions(self.handlers)
        shipped = profile_of(stack.state_machines)
        profile = shipped if shipped.order_machine in stack.state_machines else PROFILE
        functions = cast("Any", self.functions)
        self.engine = Engine(
            stack, self.database, self.directory, functions, self.clock, profile=profile
        )

    def close(self) -> None:
        """End the process: uncommitted rows and open calls are lost.

        An item that failed within the error boundary fails the test, unless the test expects it.
        """
        failures = self.failures()
        self._writer.__exit__(None, None, None)
        assert self.failures_expected or not failures, failures

    def failures(self) -> list[dict[str, Any]]:
        """Return the items that failed within the engine's boundary, oldest first."""
        return self.rows("select kind, item, error, message from failures order by id")

    def restart(self) -> None:
        """End the process, and start another one."""
        self.close()
        self._open()

    def turn(self, times: int = 1) -> None:
        """Take turns of the engine."""
        for _ in range(times):
            self.engine.turn(0)

    def settle(self) -> None:
        """Take turns until a turn does nothing."""
        for _ in range(10_000):
            if not self.engine.turn(0):
                return
        raise AssertionError("the engine does not come to rest")

    def pass_time(self, seconds: float) -> None:
        """Move the clock, and settle."""
        self.clock.time += seconds
        self.settle()

    def ask(self, request: Callable[[float], Any]) -> Any:
        """Call the engine, take a turn, and return the answer."""
        future: Future[Any] = self.engine.call(request)
        self.turn()
        return future.result(0)

    def put(self, *entries: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a PutEvents request."""
        answer: dict[str, Any] = self.ask(lambda now: self.engine.bus.put(list(entries), now))
        return answer

    def start(self, name: str, body: Any = None, machine: str = "shop-flow") -> str:
        """Start an execution; return its ARN."""
        given = {} if body is None else body
        started: str = self.ask(lambda now: self.engine.executions.start(machine, name, given, now))
        return started

    def send(self, *bodies: str, queue: str = "Work") -> None:
        """Put messages into a queue."""
        self.ask(lambda now: [self.engine.queues.send(queue, body, {}, now) for body in bodies])

    def rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        """Return a query's rows."""
        return [dict(row) for row in self.database.rows(query, *parameters)]

    def outside(self, query: str, *parameters: object) -> list[Any]:
        """Return the rows that another process sees, which are the committed ones."""
        other = sqlite3.connect(f"file:{self.directory.database}?mode=ro", uri=True)
        try:
            return other.execute(query, parameters).fetchall()
        finally:
            other.close()

    def reader(self) -> Database:
        """Return a second connection, for reading."""
        return self.directory.reader()

    def queue(self, name: str) -> list[dict[str, Any]]:
        """Return the messages in a queue, oldest first."""
        return self.rows("select * from messages where queue = ? order by id", name)

    def execution(self, name: str) -> dict[str, Any]:
        """Return the newest execution of a name."""
        return self.rows("select * from executions where name = ? order by id", name)[-1]

    def history(self, name: str) -> list[Any]:
        """Return the events of the newest execution of a name."""
        return execution_history(self.database, self.execution(name)["id"])

    def entered(self, name: str) -> list[str]:
        """Return the states that an execution entered, in order."""
        return [
            event["stateEnteredEventDetails"]["name"]
            for event in self.history(name)
            if event["type"].endswith("StateEntered")
        ]


def write_definition(folder: Path, name: str, flow: Mapping[str, Any]) -> None:
    """Write a workflow's definition into a folder."""
    (folder / f"{name}.asl.yaml").write_text(yaml.safe_dump(flow))


def entry(kind: str = "Work", detail: str = '{"order_id": "A-1"}', **fields: Any) -> dict[str, Any]:
    """Return an entry of a PutEvents request; a field that is `...` is left out."""
    given = {"EventBusName": BUS, "Source": "shop", "DetailType": kind, "Detail": detail} | fields
    return {key: value for key, value in given.items() if value is not ...}


def task(resource: str = "${Step}", **fields: Any) -> dict[str, Any]:
    """Return a Task state, which ends its workflow by default."""
    end = {} if "Next" in fields else {"End": True}
    return {"Type": "Task", "Resource": resource, **end, **fields}


def flow(**states: Mapping[str, Any]) -> dict[str, Any]:
    """Return a definition that starts at the first of these states."""
    return {"StartAt": next(iter(states)), "States": states}
