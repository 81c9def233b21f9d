"""Faults between the engine's parts: deliveries, executions, and the services a workflow calls."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from infra.asl import RunTask
from infra.local.bus import Delivery
from infra.local.engine import Engine
from infra.local.integrations import TaskError
from infra.local.stack import Target
from infra.local.targets import DeliveryError
from tests.simulation.faults import Kind

Deliver = Callable[[Target, Delivery, float], None]
Call = Callable[[RunTask, float], Any]

Befalls = Callable[[str, str], Kind | None]
"""``(place, site)``: what goes wrong at the site's next occurrence, if anything does."""

LIFETIMES = (1, 2, 4, 8, 16)
"""Turns after which an execution vanishes."""

_ORDER = re.compile(r"order_id\W+([A-Z]-\d+)")


class Tampering:
    """Lets an engine's deliveries, executions and calls go wrong."""

    def __init__(self, engine: Engine, befalls: Befalls, patch: pytest.MonkeyPatch) -> None:
        self.engine = engine
        self.befalls = befalls
        self.doomed: dict[int, int] = {}
        executions = engine.executions
        for taker in engine.bus.takers.values():
            patch.setattr(taker, "deliver", partial(self._deliver, taker.deliver))
        for name, integration in executions.integrations.items():
            if not name.startswith("lambda"):
                call = partial(self._call, name, integration.call)
                patch.setattr(integration, "call", call)
        patch.setattr(executions, "start", partial(self._start, executions.start))

    def vanish(self) -> None:
        """Let executions whose time has come stop without a trace."""
        for number in list(self.doomed):
            self.doomed[number] -= 1
            if self.doomed[number] <= 0:
                del self.doomed[number]
                self.engine.executions.live.pop(number, None)
                with self.engine.journal.database.write() as connection:
                    connection.execute(
                        "delete from executions where id = ? and status = 'RUNNING'", (number,)
                    )

    def _deliver(self, deliver: Deliver, target: Target, delivery: Delivery, now: float) -> None:
        fault = self.befalls("delivery", f"{target.key}/{order_in(delivery.envelope)}")
        if fault is Kind.DELAYED:
            raise DeliveryError("THROTTLING", "a target has no room")
        if fault is Kind.REFUSED:
            raise DeliveryError("NO_PERMISSIONS", "a target takes nothing", final=True)
        deliver(target, delivery, now)
        if fault is Kind.DOUBLED:
            deliver(target, delivery, now)

    def _call(self, name: str, call: Call, task: RunTask, now: float) -> Any:
        fault = self.befalls("service", f"{name}/{order_in(str(task.parameters))}")
        if fault is Kind.UNSENT:
            raise TaskError("SDK.ServiceException", f"{name} failed")
        answer = call(task, now)
        if fault is Kind.UNHEARD:
            raise TaskError("SDK.ClientException", f"{name} was not heard")
        return answer

    def _start(
        self,
        start: Callable[..., str],
        machine: str,
        name: str,
        body: Any,
        now: float,
        *,
        text: str | None = None,
    ) -> str:
        fault = self.befalls("execution", f"{machine}/{order_in(str(body))}")
        arn = start(machine, name, body, now, text=text)
        express = self.engine.stack.machines[machine].kind == "EXPRESS"
        if fault is Kind.VANISHED:
            number = self.engine.journal.next_id("executions") - 1
            self.doomed[number] = LIFETIMES[number % len(LIFETIMES)]
        elif fault is Kind.AGAIN and express:
            start(machine, name, body, now)
        elif fault is Kind.RENAMED and express:
            start(machine, f"{name}-again", body, now)
        return arn


def order_in(text: str) -> str:
    """Return the order that a text is about, if it is about one."""
    found = _ORDER.search(text)
    return found[1] if found else "-"
