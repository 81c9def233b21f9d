"""Contracts on a stack: the catalogue, the check of events, and sending one to the stack's bus."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from infra.console.page import View, Visit
from infra.console.pages import contracts as shared
from infra.console.stack.source import StackSource
from infra.views.contract_catalogue import RecentEvents, Validation, validate_all
from inventory.dynamodb_shards import read_stock
from storage.dynamodb.order_item import is_order, order_key, to_record

NONE = RecentEvents({}, {}, None)
"""A stack's bus has no journal."""


def _listed(_: Visit, __: StackSource) -> View:
    return replace(shared.list_of(NONE), is_current=False)


def _one(visit: Visit, _: StackSource) -> View:
    return shared.one_of(visit, NONE)


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
    return shared.composer_with(visit, lambda skus: _free(source, skus))


def _free(source: StackSource, skus: Iterable[str]) -> dict[str, int]:
    """Return the free units of the known SKUs among these."""
    levels = read_stock(source.deployed.table(), skus)
    return {sku: level.on_hand - level.reserved for sku, level in levels.items()}


PAGE = replace(
    shared.PAGE,
    gets={
        "/contracts": _listed,
        "/contracts/check": shared.checker,
        "/contracts/{slug}": _one,
        "/contracts/{slug}/schema.json": shared.schema,
        "/contracts/{slug}/send": _composer,
    },
    posts={"/contracts/check": _check, "/contracts/{slug}/send": shared.send},
)
