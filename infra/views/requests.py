"""The requests of an order in the journal that can be sent again, with the forecast of one."""

from dataclasses import dataclass

from infra.local.template.stack import Stack
from infra.views.forecast_store import ForecastStore
from infra.views.replay_forecast import Forecast, Forecaster
from kernel.errors import InvalidEvent
from kernel.events import REQUESTS, parse
from kernel.json_text import InvalidJSON
from kernel.json_text import parse as parse_json
from storage.sqlite.database import Database

SHOWN = 20
"""Requests of an order that are shown: the newest."""


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request of the journal; ``envelope`` is its JSON text as it was sent."""

    seq: int
    type: str
    arrived_at: float
    envelope: str


def requests_of(database: Database, order_id: str) -> list[SentRequest]:
    """Return the newest requests of an order, the newest first."""
    marks = ", ".join("?" * len(REQUESTS))
    rows = database.rows(
        "select seq, detail_type, arrived_at, envelope from events"
        f" where order_id = ? and detail_type in ({marks}) order by seq desc limit ?",
        order_id,
        *sorted(REQUESTS),
        SHOWN,
    )
    return [SentRequest(*row) for row in rows]


def forecast_of(
    database: Database, stack: Stack, request: SentRequest, now: float
) -> tuple[Forecast | None, str]:
    """Return the effect of a request that is sent again; else why it would be refused."""
    with ForecastStore(database) as store:
        forecaster = Forecaster(stack, store, database, now)
        try:
            envelope = parse_json(request.envelope)
            return forecaster.forecast(parse(envelope), envelope, explained=False), ""
        except (InvalidEvent, InvalidJSON) as error:
            return None, str(error)
