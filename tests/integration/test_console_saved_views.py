"""Filters of a list are kept by name in the directory, and shared as links."""

from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from infra.server.saved_views_api import MAX_VIEWS
from tests.fakes.console import Visitor, serving
from tests.fakes.console_pages import HOSTILE, Outline, check_safe

QUERY = "status=FAILED&customer=C-1"


@pytest.fixture
def visitor(tmp_path: Path) -> Iterator[Visitor]:
    with serving(tmp_path / "data") as served:
        yield served


def save(visitor: Visitor, name: str, query: str = QUERY, page: str = "orders") -> str:
    done = visitor.post("/console/views/save", {"page": page, "name": name, "query": query})
    assert done.status == 303
    return visitor.get(done.headers["location"]).text


def links(visitor: Visitor, page: str = "orders") -> list[str]:
    return Outline(visitor.get(f"/console/{page}").text).links


def test_a_view_is_saved_shown_as_a_link_and_deleted(visitor: Visitor) -> None:
    assert "is saved" in save(visitor, "Lost at C-1")
    kept = "/console/orders?customer=C-1&status=FAILED"
    assert kept in links(visitor)
    page = visitor.get(kept)
    check_safe(page)
    assert 'aria-current="true"' in page.text.partition('aria-label="Saved views"')[2]
    form = {"page": "orders", "name": "Lost at C-1", "query": QUERY}
    assert visitor.post("/console/views/delete", form).status == 303
    assert kept not in links(visitor)


def test_a_view_of_a_name_is_replaced_and_outlives_a_new_console(visitor: Visitor) -> None:
    save(visitor, "mine")
    save(visitor, "mine", "status=WAITING")
    assert visitor.rows("select name, query from saved_views") == [("mine", "status=WAITING")]


def test_cursors_and_foreign_fields_are_not_part_of_a_view(visitor: Visitor) -> None:
    save(visitor, "plain", f"{QUERY}&after=abc&notice=n&shown=k&to=2026-01-31")
    [(query,)] = visitor.rows("select query from saved_views")
    assert query == "customer=C-1&status=FAILED&to=2026-01-31"


def test_the_filters_of_the_bus_and_of_dead_letters_are_saved_too(visitor: Visitor) -> None:
    pattern = '{"detail": {"total": [{"numeric": [">", 999]}]}}'
    save(visitor, "dear", f"type=Order+Created&pattern={pattern}".replace(" ", "+"), "bus")
    save(visitor, "by queue", "by=queue&q=currency", "dead_letters")
    assert any("pattern=" in unescape(each) for each in links(visitor, "bus"))
    assert "/console/dead-letters?by=queue&q=currency" in links(visitor, "dead-letters")


@pytest.mark.parametrize(
    ("name", "query"),
    [("", QUERY), ("\u200b", QUERY), ("x" * 61, QUERY), ("empty", ""), ("empty", "after=1")],
)
def test_a_view_without_a_name_or_filters_is_refused(
    visitor: Visitor, name: str, query: str
) -> None:
    assert "Refused: " in save(visitor, name, query)
    assert visitor.rows("select * from saved_views") == []


def test_hostile_names_and_filters_stay_text(visitor: Visitor) -> None:
    save(visitor, HOSTILE[:60], f"customer={HOSTILE}")
    check_safe(visitor.get("/console/orders"))
    wrong = {"page": "evil", "name": "x", "query": QUERY}
    assert visitor.post("/console/views/save", wrong).status == 400
    missing = {"page": "orders", "name": "none", "query": ""}
    refused = visitor.post("/console/views/delete", missing)
    assert "has no view" in visitor.get(refused.headers["location"]).text


def test_a_list_has_a_bounded_number_of_views(visitor: Visitor) -> None:
    for number in range(MAX_VIEWS):
        visitor.post(
            "/console/views/save", {"page": "bus", "name": f"v{number}", "query": "type=x"}
        )
    assert "delete one" in save(visitor, "one more", "type=x", "bus")
    assert "is saved" in save(visitor, "v1", "type=y", "bus")


def test_a_reader_uses_views_and_saves_none(tmp_path: Path) -> None:
    tokens = {"r": "console/read", "o": "orders/operate"}
    with serving(tmp_path / "data", tokens=tokens) as served:

        def cookie(token: str) -> dict[str, str]:
            signed = served.post("/console/sign-in", {"token": token})
            return {"cookie": signed.headers["set-cookie"].partition(";")[0]}

        form = {"page": "orders", "name": "shared", "query": QUERY}
        assert served.post("/console/views/save", form, cookie("r")).status == 403
        assert served.post("/console/views/save", form, cookie("o")).status == 303
        page = served.get("/console/orders", cookie("r")).text
        assert "shared" in page
        assert "Delete shared" not in page
