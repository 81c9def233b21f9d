"""The progress of an order: the attempts of each state, and its present activity or wait."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.views.health import waits_for
from infra.views.order_story import StateAttempts
from kernel.clock import timestamp
from kernel.money import text
from kernel.order_record import OrderRecord
from kernel.order_status import PAUSED, ChargeStatus, Status


@dataclass(frozen=True, slots=True)
class Progress:
    """The last state of an execution, and the attempts of each state that called something.

    ``since`` is when the last state was entered, in epoch seconds.
    """

    state: str | None
    since: float
    attempts: Sequence[StateAttempts]

    @property
    def last(self) -> StateAttempts | None:
        """The attempts of the last state; None if it has called nothing."""
        return next((each for each in self.attempts if each.state == self.state), None)


def stuck_on(
    record: OrderRecord | None,
    running: tuple[str, Progress] | None,
    dead_letters: Sequence[str],
    retry: Mapping[str, Any] | None,
    now: float,
) -> str | None:
    """Return the present activity or wait of an order that has not ended, as one sentence.

    Parameters
    ----------
    running
        The name of the execution that processes it, and its progress, if one does.
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


def _doing(record: OrderRecord, running: tuple[str, Progress] | None, now: float) -> str:
    if record.status in PAUSED:
        number = f" (wait {record.attempts})" if record.status == Status.WAITING else ""
        return (
            f"waits for {waits_for(record.waiting_for, record.status)}"
            f" since {timestamp(record.updated_at)} until {timestamp(record.resume_at)}{number}"
        )
    if running is not None:
        name, progress = running
        last = progress.last
        again = f", attempt {last.attempts} after {last.error}" if last and last.error else ""
        return f"run {name} is in {progress.state} since {timestamp(progress.since)}{again}"
    if record.lease_until > now:
        until = timestamp(record.lease_until)
        return f"no run processes it; the reconciler starts one after its lease, at {until}"
    return "no run processes it; the reconciler starts one while the platform runs"
