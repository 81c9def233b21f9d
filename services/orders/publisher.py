"""Where the relay puts messages on AWS: the bus, the state machine, the queues."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from kernel.order_record import Message
from lambda_support import aws

_TARGETS = {"event": "event bus", "run": "state machine", "message": "queue"}
"""The target of each kind of message, as an error names it."""


class AWSOutlet:
    """An outlet (see `orders.relay.Publisher`); ``client`` gives a service's client by its name.

    An error is an answer here and is not raised: the messages stay in their outboxes.
    """

    def __init__(
        self, bus: str, state_machine: str, client: Callable[[str], Any] = aws.client
    ) -> None:
        self.bus = bus
        self.state_machine = state_machine
        self.client = client

    def put(self, messages: Sequence[Message]) -> list[str | None]:
        """Return for each message why it was not accepted, or `None` where it was."""
        kind = messages[0].kind
        put = {"event": self._events, "run": self._run, "message": self._queue}[kind]
        try:
            return put([message.body for message in messages])
        except Exception as error:
            problem = aws.explanation(error, f"the {_TARGETS[kind]}", "deploy the stack again")
            if problem is None:
                raise
            return [problem] * len(messages)

    def _events(self, bodies: Sequence[Mapping[str, Any]]) -> list[str | None]:
        entries = [{"EventBusName": self.bus, **body} for body in bodies]
        answer = self.client("events").put_events(Entries=entries)
        return [
            f"{one['ErrorCode']}: {one.get('ErrorMessage', '')}" if "ErrorCode" in one else None
            for one in answer["Entries"]
        ]

    def _run(self, bodies: Sequence[Mapping[str, Any]]) -> list[str | None]:
        [body] = bodies
        client = self.client("stepfunctions")
        # one that exists was asked for before
        with suppress(client.exceptions.ExecutionAlreadyExists):
            client.start_execution(
                stateMachineArn=self.state_machine,
                name=body["name"],
                input=json.dumps(body["input"]),
            )
        return [None]

    def _queue(self, bodies: Sequence[Mapping[str, Any]]) -> list[str | None]:
        answer = self.client("sqs").send_message_batch(
            QueueUrl=bodies[0]["queue"],
            Entries=[
                {"Id": str(number), "MessageBody": json.dumps(body["body"])}
                for number, body in enumerate(bodies)
            ],
        )
        failed = {
            int(one["Id"]): f"{one['Code']}: {one.get('Message', '')}"
            for one in answer.get("Failed", [])
        }
        return [failed.get(number) for number in range(len(bodies))]
