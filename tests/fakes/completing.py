"""Generated orders that can complete: each has stock, and a card that pays."""

import json
from dataclasses import replace
from pathlib import Path

from infra.cli.generator import Generated, generate

KINDS = {"completed", "high value", "gateway trouble"}
"""The kinds of generated orders that nothing but the platform can fail."""


def completing(count: int, seed: int) -> Generated:
    """Return ``count`` orders that can complete, with at least their stock."""
    generated = generate(2 * count + 20, seed)
    events = [(kind, event) for kind, event in generated.events if kind in KINDS][:count]
    assert len(events) == count
    return replace(generated, count=count, events=events)


def write(orders: Generated, folder: Path) -> tuple[Path, Path]:
    """Write the events and the stock as files of `orders run`; return their paths."""
    events, stock = folder / "events.ndjson", folder / "stock.csv"
    events.write_text("".join(json.dumps(event) + "\n" for _, event in orders.events))
    units = orders.receipt.units.items()
    stock.write_text("sku,on_hand\n" + "".join(f"{sku},{number}\n" for sku, number in units))
    return events, stock
