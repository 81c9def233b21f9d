"""Faults between the engine's parts: deliveries, executions, and services that workflows call."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from infra.asl import RunTask
from infra.local.engine.engine import Engine
from infra.local.engine.integrations import TaskError
from infra.local.engine.loaded_execution import LoadedExecution
from infra.local.engine.targets import Delivery, DeliveryError
from infra.local.template.stack import Schedule, Target
from tests.simulation.faults import Kind
from tests.simulation.poison import Poison

Deliver = Callable[[Target, Delivery, float], None]
Call = Callable[[RunTask, float], Any]

LIFETIMES = (1, 2, 4, 8, 16)
"""Turns after which an execution vanishes."""

_ORDER = re.compile(r"order_id\W+([A-Z]-\d+)")


class Tampering:
    """The injection of faults into an engine's deliveries, executions and calls."""

    def __init__(self, engine: Engine, poison: Poison, patch: pytest.MonkeyPatch) -> None:
        self.engine = engine
        self.poison = poison
        self.befalls = poison.befalls
        self.doomed: dict[int, int] = {}
        executions = engine.executions
        for taker in engine.bus.rule_targets.values():
            patch.setattr(taker, "deliver", partial(self._deliver, taker.deliver))
        for name, integration in executions.integrations.items():
            if not name.startswith("lambda"):
                call = partial(self._call, name, integration.call)
                patch.setattr(integration, "call", call)
        patch.setattr(executions, "start", partial(self._start, executions.start))
        patch.setattr(executions, "_save", partial(self._save, executions._save))  # noqa: SLF001
        patch.setattr(engine.outbox, "_send", partial(self._send, engine.outbox._send))  # noqa: SLF001
        patch.setattr(engine.bus, "_accept", partial(self._accept, engine.bus._accept))  # noqa: SLF001
        schedules = engine.schedules
        jobs, replays = engine.letter_jobs, engine.replays
        answers = partial(self._handle, jobs._answers, "letter job")  # noqa: SLF001
        patch.setattr(jobs, "_answers", answers)
        patch.setattr(replays, "_route", partial(self._handle, replays._route, "replay"))  # noqa: SLF001
        patch.setattr(schedules, "_invoke", partial(self._invoke, schedules._invoke))  # noqa: SLF001

    def _handle(self, handle: Callable[..., Any], site: str, *arguments: Any) -> Any:
        """Handle an item of a job; the error of a late fault follows the completed work."""
        error = self.poison.of("job", site)
        if error is not None and not self.poison.is_late(site):
            raise error
        answer = handle(*arguments)
        if error is not None:
            raise error
        return answer

    def vanish(self) -> None:
        """Delete the executions that are due to vanish."""
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
        site = f"{target.key}/{order_in(delivery.envelope)}"
        fault = self.befalls("delivery", site)
        if fault is Kind.DELAYED:
            raise DeliveryError("THROTTLING", "a target has no room")
        if fault is Kind.REFUSED:
            raise DeliveryError("NO_PERMISSIONS", "a target takes nothing", final=True)
        error = self.poison.of("delivery", site, fault)
        if error is not None and not self.poison.is_late(site):
            raise error
        deliver(target, delivery, now)
        if error is not None:
            raise error
        if fault is Kind.DOUBLED:
            deliver(target, delivery, now)

    def _call(self, name: str, call: Call, task: RunTask, now: float) -> Any:
        site = f"{name}/{order_in(str(task.parameters))}"
        fault = self.befalls("service", site)
        if fault is Kind.UNSENT:
            raise TaskError("SDK.ServiceException", f"{name} failed")
        error = self.poison.of("service", site, fault)
        if error is not None and not self.poison.is_late(site):
            raise error
        answer = call(task, now)
        if error is not None:
            raise error
        if fault is Kind.UNHEARD:
            raise TaskError("SDK.ClientException", f"{name} was not heard")
        return answer

    def _save(
        self, save: Callable[..., None], live: LoadedExecution, now: float, **how: bool
    ) -> None:
        self._poisoned("codec", f"save/{order_in(str(live.execution.context))}")
        save(live, now, **how)

    def _send(self, send: Callable[[Any, float], None], row: Any, now: float) -> None:
        site = f"outbox/{row['kind']}/{order_in(row['body'])}"
        error = self.poison.of("outbox", site)
        if error is not None and not self.poison.is_late(site):
            raise error
        send(row, now)
        if error is not None:
            raise error

    def _accept(self, accept: Callable[..., None], *arguments: Any) -> None:
        accept(*arguments)
        self._poisoned("request", f"accept/{order_in(str(arguments[2]))}")

    def _invoke(self, invoke: Callable[..., None], schedule: Schedule, now: float) -> None:
        self._poisoned("schedule", schedule.name)
        invoke(schedule, now)

    def _poisoned(self, place: str, site: str) -> None:
        error = self.poison.of(place, site)
        if error is not None:
            raise error

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
        express = self.engine.stack.state_machines[machine].kind == "EXPRESS"
        if fault is Kind.VANISHED:
            number = self.engine.journal.next_id("executions") - 1
            self.doomed[number] = LIFETIMES[number % len(LIFETIMES)]
        elif fault is Kind.AGAIN and express:
            start(machine, name, body, now)
        elif fault is Kind.RENAMED and express:
            start(machine, f"{name}-again", body, now)
        return arn


def order_in(text: str) -> str:
    """Return the id of the order in a text, or ``-``."""
    match = _ORDER.search(text)
    return match[1] if match else "-"
