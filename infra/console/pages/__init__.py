"""The pages, in the order of the navigation: add a page here, and nowhere else."""

from infra.console.page import Page
from infra.console.pages import (
    activity,
    approval,
    bus,
    contracts,
    dead_letters,
    letter_jobs,
    order,
    order_export,
    orders,
    overview,
    queries,
    replays,
    resend,
    reveal,
    saved_views,
    session,
)

PAGES: tuple[Page, ...] = (
    overview.PAGE,
    orders.PAGE,
    order.PAGE,
    approval.PAGE,
    order_export.PAGE,
    bus.PAGE,
    letter_jobs.PAGE,  # before dead letters, whose path /dead-letters/{id} matches too
    dead_letters.PAGE,
    replays.PAGE,
    queries.PAGE,
    contracts.PAGE,
    activity.PAGE,
    session.PAGE,
    reveal.PAGE,
    saved_views.PAGE,
    resend.PAGE,
)
