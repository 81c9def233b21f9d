"""Send outbox messages on AWS: to EventBridge, Step Functions and SQS."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from kernel.order_record import Message
from lambda_support import aws

_TARGETS = {
    "event": "event bus",
    "run": "state machine",
    "message": "queue",
    "answer": "waiting state machine",
}
"""The target of each kind of message, as an error names it."""


class AWSPublisher:
    """A publisher (see `orders.outbox.Publisher`); ``client`` returns a service's client by name.

    An error is returned and not raised: the messages stay in their outboxes.
    """

    def __init__(
        self, bus: str, state_machine: str, client: Callable[[str], Any] = aws.client
    ) -> None:
        self.bus = bus
        self.state_machine = state_machine
        self.client = client

    def put(self, messages: Sequence[Message]) -> list[str | None]:
        """Return for each message the reason of its refusal, or `None` if it was accepted."""
        kind = messages[0].kind
        send = {
            "event": self._put_events,
            "run": self._start_run,
            "message": self._send_messages,
            "answer": self._answer,
        }[kind]
        try:
            return send([message.body for message in messages])
        except Exception as error:
            problem = aws.explanation(error, f"the {_TARGETS[kind]}", "deploy the stack again")
            if problem is None:
                raise
            return [problem] * len(messages)

    def _put_events(self, bodies: Sequence[Mapping[str, Any]]) -> list[str | None]:
        entries = [{"EventBusName": self.bus, **body} for body in bodies]
        answer = self.client("events").put_events(Entries=entries)
        return [
            f"{result['ErrorCode']}: {result.get('ErrorMessage', '')}"
            if "ErrorCode" in result
            else None
            for result in answer["Entries"]
        ]

    def _start_run(self, bodies: Sequence[Mapping[str, Any]]) -> list[str | None]:
        [body] = bodies
        client = self.client("stepfunctions")
        # an execution of this name was started by an earlier attempt
        with suppress(client.exceptions.ExecutionAlreadyExists):
            client.start_execution(
                stateMachineArn=self.state_machine,
                name=body["name"],
                input=json.dumps(body["input"]),
            )
        return [None]

    def _answer(self, bodies: Sequence[Mapping[str, Any]]) -> list[str | None]:
        """End the task of a token; if it has ended, start the run that resumes its order."""
        [body] = bodies
        client = self.client("stepfunctions")
        ended = (
            client.exceptions.TaskTimedOut,
            client.exceptions.TaskDoesNotExist,
            client.exceptions.InvalidToken,
        )
        try:
            client.send_task_success(taskToken=body["token"], output=json.dumps(body["output"]))
        except ended:
            if "run" in body:
                return self._start_run([body["run"]])
        return [None]

    def _send_messages(self, bodies: Sequence[Mapping[str, Any]]) -> list[str | None]:
        answer = self.client("sqs").send_message_batch(
            QueueUrl=bodies[0]["queue"],
            Entries=[
                {"Id": str(number), "MessageBody": json.dumps(body["body"])}
                for number, body in enumerate(bodies)
            ],
        )
        failed = {
            int(result["Id"]): f"{result['Code']}: {result.get('Message', '')}"
            for result in answer.get("Failed", [])
        }
        return [failed.get(number) for number in range(len(bodies))]
