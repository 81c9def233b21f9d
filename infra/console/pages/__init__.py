"""The pages, in the order of the navigation: add a page here, and nowhere else."""

from infra.console.page import Page
from infra.console.pages import overview, session

PAGES: tuple[Page, ...] = (
    overview.PAGE,
    session.PAGE,
)
