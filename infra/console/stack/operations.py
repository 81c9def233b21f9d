"""The operations of the console on a deployed stack, under the names of one machine's port."""

import asyncio
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from infra.console.stack.limits import Limits
from infra.console.stack.sample import LastLook
from infra.contracts.snippets import BUS
from infra.deployed.account import translate_errors
from infra.deployed.archive_replays import ArchiveReplays
from infra.deployed.athena import Athena
from infra.deployed.dead_letters import DeployedDeadLetters
from infra.deployed.operations import ORDER_OPERATIONS, act
from infra.deployed.stack import DeployedStack
from infra.errors import AWSError, InvalidRequest
from kernel.errors import OrderflowError, StoreError

_GONE = frozenset({"sent", "done", "discarded", "edited"})
"""The states of answers whose dead letter is not in its queue as it was seen."""

Answer = Mapping[str, Any]
Request = Mapping[str, Any]


class StackOperations:
    """The operations on one stack; ``changed`` is called after each.

    An operation is answered when it has ended, never before: a function is stopped after its
    answer, and would continue the rest at its next request.
    """

    def __init__(
        self,
        deployed: DeployedStack,
        sample: LastLook,
        limits: Limits,
        changed: Callable[[], None],
    ) -> None:
        self._deployed = deployed
        self._sample = sample
        self._limits = limits
        self._changed = changed
        self._by_name: Mapping[str, Callable[[Request], Answer]] = {
            **{f"Orderflow.{name}": self._on_order(name) for name in ORDER_OPERATIONS},
            "Console.LookAtDeadLetters": self._look,
            "Orderflow.RedriveDeadLetters": self._redrive,
            "Orderflow.DiscardDeadLetters": self._discard,
            "Orderflow.RestoreDeadLetters": self._restore,
            "Orderflow.EditDeadLetter": self._edit,
            "Console.StartQuery": self._start_query,
            "Console.StopQuery": self._stop_query,
            "Orderflow.StartReplay": self._start_replay,
            "AWSEvents.CancelReplay": self._cancel_replay,
            "AWSEvents.PutEvents": self._put_events,
        }

    async def operate(self, name: str, request: Request) -> Answer:
        """Run an operation in a thread.

        Raises
        ------
        AWSError
            AWS refused a call.
        InvalidRequest
            The state of an order or a replay refuses the operation.
        """
        return await asyncio.to_thread(self._run, name, request)

    def _run(self, name: str, request: Request) -> Answer:
        try:
            with translate_errors("the operation", "deploy the stack again"):
                return self._by_name[name](request)
        except StoreError as error:
            raise AWSError(str(error)) from error
        except OrderflowError as error:
            raise InvalidRequest(type(error).__name__, str(error)) from None
        finally:
            self._changed()

    @cached_property
    def letters(self) -> DeployedDeadLetters:
        """The records of the stack's dead letters, and their destinations."""
        return DeployedDeadLetters(self._deployed)

    def _on_order(self, name: str) -> Callable[[Request], Answer]:
        def operation(request: Request) -> Answer:
            order_id, reason, who = (str(request[key]) for key in ("order_id", "reason", "who"))
            reason = reason.strip()
            if name in ("CancelOrder", "RejectOrder", "NoteOrder") and not reason:
                raise InvalidRequest("ValidationException", "reason: is empty; say why")
            return act(self._deployed, name, order_id, reason, who)

        return operation

    def _by(self, request: Request) -> DeployedDeadLetters:
        """Return the dead letters, as one operation of a person."""
        who, bounds = str(request["who"]), self._limits.operation
        return DeployedDeadLetters(self._deployed, who, bounds=bounds)

    def _look(self, request: Request) -> Answer:
        letters = self._by(request).open()
        self._sample.keep(letters, float(request["at"]))
        return {"number": len(letters)}

    def _redrive(self, request: Request) -> Answer:
        return self._answered(
            self._by(request).redrive(_ids(request), self._limits.wait)["letters"]
        )

    def _discard(self, request: Request) -> Answer:
        return self._answered(self._by(request).discard(_ids(request), str(request["reason"])))

    def _restore(self, request: Request) -> Answer:
        return self._answered(self._by(request).restore(_ids(request)))

    def _edit(self, request: Request) -> Answer:
        return self._answered([self._by(request).edit(str(request["id"]), request["event"])])

    def _answered(self, answers: list[dict[str, Any]]) -> Answer:
        self._sample.forget(str(each["id"]) for each in answers if each["state"] in _GONE)
        return {"letters": answers}

    def _start_query(self, request: Request) -> Answer:
        return {"id": Athena(self._deployed).start(str(request["sql"]))}

    def _stop_query(self, request: Request) -> Answer:
        Athena(self._deployed).stop(str(request["id"]))
        return {}

    def _start_replay(self, request: Request) -> Answer:
        rules = [str(rule).rpartition("/")[2] for rule in request["Destination"]["FilterArns"]]
        name, begin, end = (
            request[key] for key in ("ReplayName", "EventStartTime", "EventEndTime")
        )
        self._replays(request).start(name, begin, end, rules)
        return {}

    def _cancel_replay(self, request: Request) -> Answer:
        self._replays(request).cancel(str(request["ReplayName"]))
        return {}

    def _replays(self, request: Request) -> ArchiveReplays:
        return ArchiveReplays(self._deployed.account, str(request["EventSourceArn"]))

    def _put_events(self, request: Request) -> Answer:
        bus = self._deployed.names.get("OrdersBus", BUS)
        entries = [{**entry, "EventBusName": bus} for entry in request["Entries"]]
        with translate_errors(f"the bus {bus}", "deploy the stack again"):
            answer: Answer = self._deployed.client("events").put_events(Entries=entries)
        return answer


def _ids(request: Request) -> list[str]:
    return [str(each) for each in request["ids"]]
