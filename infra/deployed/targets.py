"""Calls of the stack's queues, workflows, streams and functions, for redriven dead letters."""

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

from infra.deployed.stack import DeployedStack


class Targets:
    """The rule targets and functions of a stack; each call raises the errors of its client."""

    def __init__(self, stack: DeployedStack) -> None:
        self.stack = stack

    def call_of(self, arn: str, body: str, run: str) -> Callable[[], object]:
        """Return the call of a rule's target by its ARN; ``run`` names the run of a workflow.

        Raises
        ------
        KeyError
            No rule of the template has a target of this service.
        """
        service, name = arn.split(":")[2], arn.split(":", 5)[5]
        calls: dict[str, Callable[[], object]] = {
            "sqs": partial(self._send_by_name, name, body),
            "states": partial(self.start, arn, body, run),
            "firehose": partial(self._put, name.partition("/")[2], body),
            "lambda": partial(self.invoke, arn, body),
        }
        return calls[service]

    def send(self, queue_url: str, body: str, dead_letter: str | None = None) -> None:
        """Send a message; an attribute has the id of the dead letter that it replaces."""
        attributes = (
            {"REDRIVEN": {"DataType": "String", "StringValue": dead_letter}} if dead_letter else {}
        )
        self._sqs.send_message(QueueUrl=queue_url, MessageBody=body, MessageAttributes=attributes)

    def start(self, machine: str, body: str, run: str) -> None:
        """Start a run, unless one of this name was started before."""
        try:
            self._states.start_execution(stateMachineArn=machine, name=run, input=body)
        except self._states.exceptions.ExecutionAlreadyExists:
            return

    def invoke(self, function: str, body: str) -> None:
        """Invoke a function asynchronously, as its schedule does."""
        self._functions.invoke(FunctionName=function, InvocationType="Event", Payload=body.encode())

    def _send_by_name(self, queue: str, body: str) -> None:
        self.send(self._sqs.get_queue_url(QueueName=queue)["QueueUrl"], body)

    def _put(self, stream: str, body: str) -> None:
        self._firehose.put_record(DeliveryStreamName=stream, Record={"Data": body.encode()})

    @cached_property
    def _sqs(self) -> Any:
        return self.stack.client("sqs")

    @cached_property
    def _states(self) -> Any:
        return self.stack.client("stepfunctions")

    @cached_property
    def _functions(self) -> Any:
        return self.stack.client("lambda")

    @cached_property
    def _firehose(self) -> Any:
        return self.stack.client("firehose")
