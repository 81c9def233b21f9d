"""Personal data in the console: masked, shown to an operator who asks, and recorded."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.fakes.console import Shown, Visitor, serving
from tests.fakes.console_pages import check_safe, letters, settle

ADDRESS = {
    "name": "Ada Lovelace",
    "street": "Secret Lane 12",
    "city": "London",
    "postal_code": "W1",
    "country": "GB",
}
PERSON = {"email": "ada@example.com", "payment_token": "tok_visa", "shipping_address": ADDRESS}
SECRETS = ("Lovelace", "Secret Lane", "ada@example.com", "tok_visa")


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """Serve an order and a dead letter with personal data."""
    with serving(tmp_path_factory.mktemp("personal") / "data") as served:
        served.host.receive(TEA=100)
        served.place("PERSON-1", **PERSON)
        served.place("BAD-1", currency="EURO", **PERSON)
        settle(served)
        yield served


def seq(visitor: Visitor) -> int:
    [(found,)] = visitor.rows("select seq from events where order_id = 'PERSON-1' limit 1")
    return int(found)


def pages(visitor: Visitor) -> dict[str, str]:
    """Return the pages with raw data, by the subject of each."""
    [letter] = letters(visitor)
    return {
        "PERSON-1": "/console/orders/PERSON-1?state=CheckInventory",
        f"event {seq(visitor)}": f"/console/bus/{seq(visitor)}",
        f"dead letter {letter}": f"/console/dead-letters/{letter}",
    }


def test_no_page_and_no_file_shows_personal_data_unasked(visitor: Visitor) -> None:
    lists = [
        "/bus",
        "/dead-letters",
        "/activity",
        "/orders",
        "/bus/events.ndjson",
        "/bus/events.csv",
    ]
    lists += ["/dead-letters/list.ndjson", "/orders.ndjson", "/orders.csv", "/search?q=PERSON-1"]
    for path in (*pages(visitor).values(), *(f"/console{each}" for each in lists)):
        page = visitor.get(path)
        found = [secret for secret in SECRETS if secret in page.text]
        assert not found, (path, found)
    assert "London" in visitor.get(f"/console/bus/{seq(visitor)}").text


@pytest.mark.parametrize("field", ["email", "payment_token"])
def test_a_tried_pattern_names_no_personal_value(visitor: Visitor, field: str) -> None:
    query = urlencode({"pattern": json.dumps({"detail": {field: [{"prefix": "x"}]}})})
    text = visitor.get(f"/console/bus/{seq(visitor)}?{query}").text
    assert f"detail.{field}" in text
    assert not [secret for secret in SECRETS if secret in text]


def show(visitor: Visitor, subject: str, path: str) -> Shown:
    done = visitor.post("/console/reveal", {"subject": subject, "to": path})
    assert done.status == 303
    return visitor.get(done.headers["location"])


def test_an_operator_is_shown_the_data_and_the_activity_has_it(visitor: Visitor) -> None:
    for subject, path in pages(visitor).items():
        page = show(visitor, subject, path)
        check_safe(page)
        assert "Secret Lane" in page.text, subject
        rows = visitor.rows(
            "select action, result from operator_actions where subject = ?", subject
        )
        assert rows[-1] == ("reveal", "DONE")
    check_safe(visitor.get("/console/activity"))


def test_a_key_shows_nothing_of_another_subject(visitor: Visitor) -> None:
    done = visitor.post(
        "/console/reveal", {"subject": "PERSON-1", "to": "/console/orders/PERSON-1"}
    )
    key = done.headers["location"].partition("shown=")[2]
    for path in (f"/console/bus/{seq(visitor)}", f"/console/dead-letters/{letters(visitor)[0]}"):
        assert "Secret Lane" not in visitor.get(f"{path}?shown={key}").text


def test_a_page_of_another_site_is_never_the_way_back(visitor: Visitor) -> None:
    for to in ("https://evil.example/", "//evil.example", "/console\\evil"):
        done = visitor.post("/console/reveal", {"subject": "PERSON-1", "to": to})
        assert done.headers["location"].startswith("/console/?shown=")
    assert visitor.post("/console/reveal", {"subject": " "}).status == 400


def test_the_editor_of_an_event_with_personal_data_is_recorded(visitor: Visitor) -> None:
    [letter] = letters(visitor)
    counted = "select count(*) from operator_actions where reason = 'to edit its event'"
    assert visitor.rows(counted) == [(0,)]
    assert "Secret Lane" in visitor.get(f"/console/dead-letters/{letter}/edit").text
    assert visitor.rows(counted) == [(1,)]


def test_a_reader_is_shown_nothing(tmp_path: Path) -> None:
    with serving(tmp_path / "data", tokens={"r": "console/read"}) as served:
        served.host.receive(TEA=100)
        served.place("PERSON-1", **PERSON)
        served.place("BAD-1", currency="EURO", **PERSON)
        settle(served)
        signed = served.post("/console/sign-in", {"token": "r"})
        cookie = {"cookie": signed.headers["set-cookie"].partition(";")[0]}
        path = "/console/orders/PERSON-1"
        assert "Show it" not in served.get(path, cookie).text
        form = {"subject": "PERSON-1", "to": path}
        assert served.post("/console/reveal", form, cookie).status == 403
        assert served.get(f"{path}/mail", cookie).status == 400
        [letter] = letters(served)
        editor = served.get(f"/console/dead-letters/{letter}/edit", cookie)
        assert editor.status == 400
        assert "Secret Lane" not in editor.text
