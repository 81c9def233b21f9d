"""Example orders that the console sends: those of ``events_schema/``, each with a fresh id."""

from secrets import token_hex
from typing import Any, NamedTuple

from infra.local.template.project import ROOT
from kernel import json_text
from kernel.clock import timestamp

FOLDER = ROOT / "events_schema" / "order-created" / "examples"


class Scenario(NamedTuple):
    """An example: the name of its file, its title, and its outcome."""

    name: str
    title: str
    text: str

    @property
    def file(self) -> str:
        """The path of its file in the project."""
        return str((FOLDER / f"{self.name}.json").relative_to(ROOT))


SCENARIOS = (
    Scenario("full", "An ordinary order", "is reserved, charged and shipped; a mail confirms it"),
    Scenario("payment-declined", "A declined card", "fails, and its units go back to stock"),
    Scenario("out-of-stock", "A sold-out article", "waits until you receive VASE-LIMITED"),
    Scenario("high-value", "An order of high value", "is shipped, and flagged for a review"),
)


def entry_of(name: str, bus: str, now: float) -> tuple[str, dict[str, Any]]:
    """Return a fresh order's id, and its entry of PutEvents; the example is placed ``now``."""
    event = json_text.parse((FOLDER / f"{name}.json").read_bytes())
    order_id = f"EX-{token_hex(4).upper()}"
    detail: dict[str, Any] = event["detail"]
    metadata = {**detail.get("metadata", {})}
    metadata |= {"event_id": f"{order_id}-created", "correlation_id": f"console-{order_id}"}
    metadata["idempotency_key"] = f"{order_id}/order-created"
    changed = {**detail, "order_id": order_id, "timestamp": timestamp(now), "metadata": metadata}
    entry = {
        "EventBusName": bus,
        "Source": event["source"],
        "DetailType": event["detail-type"],
        "Detail": json_text.write(changed).decode(),
    }
    return order_id, entry
