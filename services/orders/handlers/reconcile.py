"""The reconciler: start runs for stranded orders, every 5 minutes.

It also expires early requests and, on AWS, sends overdue outbox messages and replays lost events.
"""

from collections.abc import Callable
from math import ceil
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from kernel.errors import OrderflowError
from lambda_support import init_phase
from lambda_support.observability import count, instrumented, logger
from orders import change_requests, lost_events, outbox, usecases, wiring

init_phase.prepare(wiring.ports, "dynamodb")


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take a scheduled event; return the numbers of its results.

    They are the runs ``started`` for stranded orders and the requests ``given_up`` because their
    order did not arrive; on AWS also the outboxes ``sent`` and the orders that ``never_began``.
    """
    started, delayed = usecases.reconcile(wiring.ports())
    _count("OrdersReconciled", started)
    _count("OrdersDelayed", delayed)
    count("OrdersCompleted", 0)  # the alarm NothingCompleted needs the metric to exist
    given_up = change_requests.expire_requests(wiring.ports())
    _count("RequestsGivenUp", given_up)
    if not wiring.is_relayed():
        return {"started": started, "given_up": given_up}

    def time_left() -> float:
        return float(context.get_remaining_time_in_millis() / 1000)

    sent, problems = outbox.catch_up(wiring.relay_ports(), time_left)
    _count("OutboxCaughtUp", sent)
    if problems:
        logger().warning("not sent yet", reasons=problems)
    never_began = replay_lost_events(time_left)
    _count("OrdersNeverBegan", never_began)
    return {"started": started, "given_up": given_up, "sent": sent, "never_began": never_began}


def replay_lost_events(time_left: Callable[[], float]) -> int:
    """Return the number of orders whose lost events are replayed; log an error of the sink.

    The next invocation continues the search. `SinkNotCompared` counts failures and given up
    periods, `SinkPeriodsBehind` the periods that are left.
    """
    never_began, behind = 0, 0.0
    try:
        for step in lost_events.search(wiring.search_ports(), time_left):
            never_began += len(step.missing)
            behind = step.behind
            if not step.compared:
                logger().error("a period was given up", since=step.since, before=step.before)
                count("SinkNotCompared")
    except OrderflowError as error:
        logger().warning("the sink was not compared", reason=str(error))
        count("SinkNotCompared")
    _count("SinkPeriodsBehind", ceil(behind / lost_events.PERIOD))
    return never_began


def _count(name: str, number: int) -> None:
    if number:
        count(name, number)
