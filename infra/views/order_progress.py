"""The progress of an order: the attempts of each state, and its present activity or wait."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from infra.views.health import waits_for
from infra.views.order_story import StateAttempts
from kernel.clock import timestamp
from kernel.money import text
from kernel.order_record import OrderRecord
from kernel.order_status import PAUSED, ChargeStatus, Status


class History:
    """The states of an execution's history, with the attempts of their tasks."""

    def __init__(self) -> None:
        self._state_after: dict[int, str] = {}
        self._attempts: dict[str, int] = {}
        self._errors: dict[str, str | None] = {}
        self.state: str | None = None
        self.since = 0.0

    def read(self, events: Iterable[Any]) -> None:
        """Read the events in their order; each names its predecessor, also in a branch."""
        for event in events:
            name = self._state_after.get(event.previous_event_id, "")
            if event.type.endswith("StateEntered"):
                name = str(event.details["name"])
                self.state, self.since = name, event.timestamp
            elif event.type in ("TaskScheduled", "LambdaFunctionScheduled"):
                self._attempts[name] = self._attempts.get(name, 0) + 1
            elif event.type in ("TaskFailed", "TaskTimedOut", "LambdaFunctionFailed"):
                self._errors[name] = str(event.details.get("error") or event.type)
            self._state_after[event.id] = name

    def attempts(self) -> list[StateAttempts]:
        """Return the states that called something, in their order, with the last error."""
        return [
            StateAttempts(name, number, self._errors.get(name))
            for name, number in self._attempts.items()
        ]

    @property
    def attempt(self) -> int:
        """The number of calls of the last state so far."""
        return self._attempts.get(self.state or "", 0)

    @property
    def error(self) -> str | None:
        """The last error of the last state."""
        return self._errors.get(self.state or "")


def stuck_on(
    record: OrderRecord | None,
    running: tuple[str, History] | None,
    dead_letters: Sequence[str],
    retry: Mapping[str, Any] | None,
    now: float,
) -> str | None:
    """Return the present activity or wait of an order that has not ended, as one sentence.

    Parameters
    ----------
    running
        The name of the execution that processes it, and its history, if one does.
    dead_letters
        The reasons of its dead letters: it needs an operator.
    retry
        The ``at`` and ``reason`` of the next start of an order that has not begun.
    """
    if record is None:
        return f"not begun: tried again at {retry['at']}: {retry['reason']}" if retry else None
    if record.ended:
        return None
    parts = [_doing(record, running, now)]
    if record.status == Status.COMPENSATING and record.charge == ChargeStatus.CHARGED:
        amount = f"{text(record.total, record.currency)} {record.currency}"
        parts.insert(0, f"the refund of {amount} is not paid")
    parts += [f"it needs an operator: {reason}" for reason in dead_letters]
    return "; ".join(parts)


def _doing(record: OrderRecord, running: tuple[str, History] | None, now: float) -> str:
    if record.status in PAUSED:
        number = f" (wait {record.attempts})" if record.status == Status.WAITING else ""
        return (
            f"waits for {waits_for(record.waiting_for, record.status)}"
            f" since {timestamp(record.updated_at)} until {timestamp(record.resume_at)}{number}"
        )
    if running is not None:
        name, history = running
        again = f", attempt {history.attempt} after {history.error}" if history.error else ""
        return f"run {name} is in {history.state} since {timestamp(history.since)}{again}"
    if record.lease_until > now:
        until = timestamp(record.lease_until)
        return f"no run processes it; the reconciler starts one after its lease, at {until}"
    return "no run processes it; the reconciler starts one while the platform runs"
