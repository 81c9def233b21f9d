"""The pages, in the order of the navigation: add a page here, and nowhere else."""

from infra.console.page import Page
from infra.console.pages import order, orders, overview, session

PAGES: tuple[Page, ...] = (
    overview.PAGE,
    orders.PAGE,
    order.PAGE,
    session.PAGE,
)
