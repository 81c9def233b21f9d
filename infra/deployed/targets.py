"""Where a dead letter goes back to: a queue, a workflow, a stream or a function of the stack."""

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

from infra.deployed.stack import DeployedStack


class Targets:
    """What EventBridge would have called, called by us; each raises what its client raises."""

    def __init__(self, stack: DeployedStack) -> None:
        self.stack = stack

    def at(self, arn: str, body: str, run: str) -> Callable[[], object]:
        """Return the call of a target by its ARN; ``run`` names the run of a workflow.

        Raises
        ------
        KeyError
            It is of a service that no rule of the template has as a target.
        """
        service, name = arn.split(":")[2], arn.split(":", 5)[5]
        calls: dict[str, Callable[[], object]] = {
            "sqs": partial(self._send_by_name, name, body),
            "states": partial(self.start, arn, body, run),
            "firehose": partial(self._put, name.partition("/")[2], body),
            "lambda": partial(self.call, arn, body),
        }
        return calls[service]

    def send(self, queue_url: str, body: str, letter: str | None = None) -> None:
        """Send a message; an attribute of it names the dead letter that it was."""
        named = {"REDRIVEN": {"DataType": "String", "StringValue": letter}} if letter else {}
        self._sqs.send_message(QueueUrl=queue_url, MessageBody=body, MessageAttributes=named)

    def start(self, machine: str, body: str, run: str) -> None:
        """Start a run; one that was started under this name before is the one."""
        try:
            self._states.start_execution(stateMachineArn=machine, name=run, input=body)
        except self._states.exceptions.ExecutionAlreadyExists:
            return

    def call(self, function: str, body: str) -> None:
        """Have a function called, as its schedule does: Lambda takes it over."""
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
