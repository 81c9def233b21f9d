"""The reconciler: start runs for stranded orders, every 5 minutes.

It also expires early requests and, on AWS, sends overdue outbox messages and replays lost events.
"""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from kernel.errors import OrderflowError
from lambda_support.observability import count, instrumented, logger
from orders import change_requests, lost_events, outbox, usecases, wiring


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take a scheduled event; return the numbers of what was done.

    They are the runs ``started`` for stranded orders and the requests ``given_up`` because their
    order did not arrive; on AWS also the outboxes ``sent`` and the orders that ``never_began``.
    """
    started, delayed = usecases.reconcile(wiring.ports())
    _count("OrdersReconciled", started)
    _count("OrdersDelayed", delayed)
    given_up = change_requests.expire_requests(wiring.ports())
    _count("RequestsGivenUp", given_up)
    if not wiring.is_relayed():
        return {"started": started, "given_up": given_up}
    sent, problems = outbox.catch_up(
        wiring.relay_ports(), lambda: context.get_remaining_time_in_millis() / 1000
    )
    _count("OutboxCaughtUp", sent)
    if problems:
        logger().warning("not sent yet", reasons=problems)
    never_began = _replay_lost_events()
    _count("OrdersNeverBegan", never_began)
    return {"started": started, "given_up": given_up, "sent": sent, "never_began": never_began}


def _replay_lost_events() -> int:
    """Return the number of orders whose lost events are replayed; log an error of the sink.

    The next invocation searches again.
    """
    try:
        return len(lost_events.search(wiring.search_ports()))
    except OrderflowError as error:
        logger().warning("the sink was not compared", reason=str(error))
        count("SinkNotCompared")
        return 0


def _count(name: str, number: int) -> None:
    if number:
        count(name, number)
