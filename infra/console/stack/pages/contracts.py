"""Contracts on a stack: the catalogue, the check of events, and sending one to the stack's bus."""

import asyncio
from collections.abc import Mapping, Sequence

from infra.console.page import Page, View, Visit
from infra.console.pages import contracts as shared
from infra.console.stack.source import StackSource
from infra.contracts.examples import Example
from infra.views.contract_catalogue import (
    RecentEvents,
    Validation,
    catalogue,
    consumers_of,
    validate_all,
)
from inventory.dynamodb_shards import read_stock
from storage.dynamodb.order_item import is_order, order_key, to_record

NONE = RecentEvents({}, {}, None)
"""A stack's bus has no journal."""


def _listed(_: Visit, __: StackSource) -> View:
    names = {"entries": list(catalogue().values()), "recent": NONE}
    return View("contracts/list.html", "Contracts", names, is_current=False)


def _one(visit: Visit, source: StackSource) -> View:
    entry = shared.entry_of(visit)
    names = {
        "entry": entry,
        "example": shared.example_of(visit, entry),
        "consumers": consumers_of(entry, source.stack.rules),
        "recent": NONE,
    }
    return View("contracts/one.html", entry.name, names)


async def _check(visit: Visit, form: Mapping[str, str]) -> View:
    text = form.get("events", "")
    found = await asyncio.to_thread(validate_all, text, shared.MAX_EVENTS)

    def results() -> list[shared.Result]:
        statuses = _statuses(visit, [each for _, each in found.events])
        return shared.results_of(visit.source.stack.rules, found.events, statuses)

    return shared.checked_view(text, await asyncio.to_thread(results), found.omitted)


def _statuses(visit: Visit, events: Sequence[Validation]) -> dict[str, str]:
    """Return the statuses of the known orders among those of events."""
    source = visit.source
    assert isinstance(source, StackSource)
    ids = {shared.order_id_of(event.content or {}) for event in events} - {""}
    items = source.deployed.table().get_all([order_key(each) for each in sorted(ids)])
    records = [to_record(item) for item in items if is_order(item)]
    return {record.order_id: str(record.status) for record in records}


def _composer(visit: Visit, source: StackSource) -> View:
    return shared.composer_with(visit, lambda example: _stock(source, example))


def _stock(source: StackSource, example: Example) -> list[tuple[str, int, int]]:
    """Return the SKUs of an example: the ordered units, and the free ones."""
    ordered = shared.ordered_units(example)
    levels = read_stock(source.deployed.table(), ordered)
    return [
        (sku, units, levels[sku].on_hand - levels[sku].reserved if sku in levels else 0)
        for sku, units in ordered.items()
    ]


PAGE = Page(
    name="contracts",
    title="Contracts",
    key="c",
    icon="contracts",
    gets={
        "/contracts": _listed,
        "/contracts/check": shared.checker,
        "/contracts/{slug}": _one,
        "/contracts/{slug}/schema.json": shared.schema,
        "/contracts/{slug}/send": _composer,
    },
    posts={"/contracts/check": _check, "/contracts/{slug}/send": shared.send},
)
