"""The pages of a stack: those of one machine under the same addresses.

A page of one machine that a stack lacks says so in one sentence.
"""

from dataclasses import replace
from functools import partial

from infra.console.page import Absent, Feature, Page, View, Visit
from infra.console.pages import PAGES as OF_A_DIRECTORY
from infra.console.pages import session
from infra.console.stack.missing import MISSING
from infra.console.stack.pages import (
    activity,
    bus,
    contracts,
    dead_letters,
    order,
    orders,
    overview,
    queries,
    replays,
)
from infra.console.stack.source import StackSource

_OWN = {
    page.name: page
    for page in (
        overview.PAGE,
        orders.PAGE,
        order.PAGE,
        order.APPROVAL,
        bus.PAGE,
        dead_letters.PAGE,
        replays.PAGE,
        queries.PAGE,
        contracts.PAGE,
        activity.PAGE,
        session.PAGE,
    )
}

_LACKS = {
    "order": Feature.MAIL,
    "bus": Feature.JOURNAL,
    "letter_jobs": Feature.JOBS,
    "resend": Feature.JOURNAL,
    "reveal": Feature.REVEAL,
    "replays": Feature.PACE,
    "activity": Feature.ACTIVITY,
}
"""The feature that the other paths of a page need; any other page needs the directory."""


def _absent(feature: Feature, _visit: Visit, _source: StackSource) -> View:
    raise Absent(MISSING[feature])


async def _refused(feature: Feature, _visit: Visit, _form: object) -> View:
    raise Absent(MISSING[feature])


def _complete(page: Page) -> Page:
    """Return a page of a stack with every path of the same page of one machine."""
    own = _OWN.get(page.name, replace(page, gets={}, posts={}))
    feature = _LACKS.get(page.name, Feature.DIRECTORY)
    absent = dict.fromkeys((*page.gets, *page.waits), partial(_absent, feature))
    refused = dict.fromkeys(page.posts, partial(_refused, feature))
    return replace(
        page,
        gets={**own.gets, **{path: each for path, each in absent.items() if path not in own.gets}},
        posts={
            **own.posts,
            **{path: each for path, each in refused.items() if path not in own.posts},
        },
        waits={},
    )


PAGES: tuple[Page, ...] = tuple(_complete(page) for page in OF_A_DIRECTORY)
