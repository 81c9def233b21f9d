"""Helpers of the tests of the pages of the console: the parts of a page, and orders that wait."""

from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

from tests.fakes.console import Shown, Visitor, serving
from tests.host import event, order

HOSTILE = """'"><script>alert(1)</script>{{ 7*7 }}<img src=x onerror=alert(1)>\u202e"""


@contextmanager
def serving_hostile_events(data: Path) -> Iterator[Visitor]:
    """Serve a platform with a few orders, hostile events and dead letters."""
    with serving(data) as served:
        served.host.receive(TEA=100)
        bad = order("BAD-1", currency=HOSTILE)
        odd = order(HOSTILE, email=HOSTILE, customer_id=HOSTILE)
        served.host.put(order("A-1"), order("A-2", total=12.5), bad, odd)
        served.host.put(event(HOSTILE, order_id=HOSTILE))
        settle(served)
        yield served


def settle(visitor: Visitor) -> None:
    """Take turns until nothing is due within two seconds."""
    engine = visitor.host.engine
    for _ in range(4_000):
        soon = engine.next_due(schedules=False) <= engine.clock.now() + 2
        if not engine.turn(0.005) and not soon and engine.idle:
            return
    raise AssertionError("the engine does not come to rest")


class Outline(HTMLParser):
    """The tested parts of a page: its links, its tags, and the text of elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag == "a" and given.get("href"):
            self.links.append(str(given["href"]))


def letters(visitor: Visitor) -> list[int]:
    queues = visitor.host.engine.stack.dead_letter_queues
    marks = ", ".join("?" * len(queues))
    rows = visitor.rows(f"select id from messages where queue in ({marks}) order by id", *queues)
    return [row[0] for row in rows]


def seqs(visitor: Visitor) -> list[int]:
    return [row[0] for row in visitor.rows("select seq from events order by seq")]


def check_safe(page: Shown) -> Outline:
    """Check that no text of a sender became an element or an attribute, and that nothing failed."""
    assert page.status < 500, page.text
    outline = Outline(page.text)
    for tag, attributes in outline.tags:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        assert "style" not in attributes, (tag, attributes)
        assert tag != "style"
        assert tag != "img"
        if tag == "script":
            assert str(attributes["src"]).startswith("/console/static/")
    assert "<script>alert" not in page.text
    assert "49<img" not in unescape(page.text)
    assert [tag for tag, _ in outline.tags].count("h1") == 1
    return outline
