"""The analysts' table as the sink of all events, and EventBridge's archive, on AWS."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from kernel.errors import StoreError
from lambda_support import aws
from lambda_support.athena import AthenaWarehouse

_CREATED = (
    "select order_id, to_unixtime(max(arrived_at)) as arrived_at from order_events_raw"
    " where event_type = 'Order Created' and dt between ? and ?"
    " and arrived_at >= from_iso8601_timestamp(?) and arrived_at < from_iso8601_timestamp(?)"
    " group by order_id"
)


class AthenaSink:
    """The sink (see `orders.lost_events.Sink`): the analysts' table in Athena."""

    def __init__(self, warehouse: AthenaWarehouse) -> None:
        self.warehouse = warehouse

    def created(self, since: float, before: float) -> Mapping[str, float]:
        """Return the arrival time of each order's last `Order Created` event in a period."""
        bounds = [datetime.fromtimestamp(seconds, UTC) for seconds in (since, before)]
        parameters = [bound.date().isoformat() for bound in bounds]
        parameters += [bound.isoformat() for bound in bounds]
        rows = self.warehouse.rows(_CREATED, parameters)
        return {row["order_id"]: float(row["arrived_at"]) for row in rows}


class EventArchive:
    """EventBridge's archive (see `orders.lost_events.Archive`), replayed to one rule of the bus."""

    def __init__(
        self, archive: str, bus: str, rule: str, client: Callable[[str], Any] = aws.client
    ) -> None:
        self.archive = archive
        self.bus = bus
        self.rule = rule
        self.client = client

    def replay(self, since: float, until: float) -> None:
        """Deliver the `Order Created` events of a period again.

        Raises
        ------
        StoreError
            EventBridge refused the replay: for example, ten others are running.
        """
        client = self.client("events")
        with aws.translate_errors(f"the archive {self.archive}", "deploy the stack again"):
            answer = client.start_replay(
                ReplayName=f"never-began-{int(until)}",
                EventSourceArn=self.archive,
                EventStartTime=datetime.fromtimestamp(since, UTC),
                EventEndTime=datetime.fromtimestamp(until, UTC),
                Destination={"Arn": self.bus, "FilterArns": [self.rule]},
            )
        if answer.get("State") == "FAILED":
            raise StoreError(f"the archive {self.archive} is not replayed: {answer['StateReason']}")
