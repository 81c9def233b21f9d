"""Find the orders that nothing will come back to, and start them again (every 5 minutes)."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from kernel.errors import OrderflowError
from lambda_support.observability import count, instrumented, logger
from orders import lost_events, outbox, usecases, wiring


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take a scheduled event; answer what was done.

    ``started`` runs of orders that nobody held, and requests ``given_up`` whose order did not come;
    on AWS also outboxes that were ``sent``, and orders that ``never_began``.
    """
    started = usecases.reconcile(wiring.ports())
    _count("OrdersReconciled", started)
    given_up = usecases.give_up_early(wiring.ports())
    _count("RequestsGivenUp", given_up)
    if not wiring.is_relayed():
        return {"started": started, "given_up": given_up}
    sent, problems = outbox.catch_up(
        wiring.relay_ports(), lambda: context.get_remaining_time_in_millis() / 1000
    )
    _count("OutboxCaughtUp", sent)
    if problems:
        logger().warning("not sent yet", reasons=problems)
    never_began = _search()
    _count("OrdersNeverBegan", never_began)
    return {"started": started, "given_up": given_up, "sent": sent, "never_began": never_began}


def _search() -> int:
    """Look for orders that never began; a sink that does not answer is asked again next time."""
    try:
        return len(lost_events.search(wiring.search_ports()))
    except OrderflowError as error:
        logger().warning("the sink was not compared", reason=str(error))
        count("SinkNotCompared")
        return 0


def _count(name: str, number: int) -> None:
    if number:
        count(name, number)
