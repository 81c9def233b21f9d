"""The actions of the console's pages on dead letters, replays, contracts and queries."""

import json
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from infra.views.replay_forecast import AGAIN, FACT
from infra.views.replays import Span, dry_run
from tests.fakes.console import Shown, Visitor, serving
from tests.fakes.console_pages import (
    HOSTILE,
    Outline,
    check_safe,
    letters,
    seqs,
    serving_hostile_events,
    settle,
)
from tests.host import event, order


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """Serve a platform with a few orders, hostile events and dead letters."""
    with serving_hostile_events(tmp_path_factory.mktemp("pages") / "data") as served:
        yield served


# ---- dead letters


def dead_letter(visitor: Visitor, order_id: str) -> int:
    """Let an order with a wrong currency become a dead letter; return its number."""
    before = set(letters(visitor))
    visitor.host.put(order(order_id, currency="EURO"))
    settle(visitor)
    [number] = set(letters(visitor)) - before
    return number


def test_a_dead_letter_is_edited_with_a_check_and_redriven_to_its_end(visitor: Visitor) -> None:
    number = dead_letter(visitor, "EDIT-1")
    at = f"/console/dead-letters/{number}"
    editor = visitor.get(f"{at}/edit")
    text = unescape(
        editor.text.partition("<textarea")[2].partition(">")[2].partition("</textarea>")[0]
    )
    wrong = visitor.post(f"{at}/check", {"event": text.replace("EURO", "EUROS")})
    assert wrong.status == 422
    assert "detail.currency" in wrong.text
    assert "Save and redrive" not in wrong.text
    fixed = text.replace("EURO", "EUR")
    checked = visitor.post(f"{at}/check", {"event": fixed})
    assert checked.status == 200
    assert "keeps its contract" in checked.text
    for words in ("detail.currency", "&#34;EURO&#34;", "&#34;EUR&#34;", "OrderCreatedRule"):
        assert words in checked.text
    assert visitor.host.status("EDIT-1") is None
    saved = visitor.post(f"{at}/edit", {"event": fixed, "then": "redrive"})
    assert saved.status == 303
    settle(visitor)
    assert visitor.host.status("EDIT-1") == "COMPLETED"
    states = "select state from closed_letters where id = ?"
    while visitor.rows(states, number) == [("PENDING",)]:
        visitor.host.engine.turn(0.05)
    page = visitor.get(at)
    check_safe(page)
    assert "redriven, done" in page.text
    assert "Edited" in page.text


def test_an_edit_that_breaks_the_contract_is_never_saved(visitor: Visitor) -> None:
    number = dead_letter(visitor, "EDIT-2")
    for text in ("", "{", "[]", "{}", HOSTILE, '{"source": 1}', "[" * 3_000):
        page = visitor.post(f"/console/dead-letters/{number}/edit", {"event": text})
        assert page.status == 422, text
        check_safe(page)
    assert number in letters(visitor)
    assert visitor.rows(
        "select count(*) from letter_log where letter = ? and what = 'EDITED'", number
    ) == [(0,)]


def test_a_discard_needs_a_reason_and_can_be_undone(visitor: Visitor) -> None:
    number = dead_letter(visitor, "GONE-1")
    at = f"/console/dead-letters/{number}"
    assert visitor.post(f"{at}/discard", {"reason": "  "}).status == 400
    assert number in letters(visitor)
    assert visitor.post(f"{at}/discard", {"reason": HOSTILE}).status == 303
    assert number not in letters(visitor)
    for page in ("/console/activity", "/console/dead-letters/closed", at):
        check_safe(visitor.get(page))
    assert "Put back" in visitor.get("/console/dead-letters/closed").text
    assert visitor.post(f"{at}/undo", {}).status == 303
    assert number in letters(visitor)


def group_of(visitor: Visitor, words: str) -> str:
    page = visitor.get(f"/console/dead-letters?{urlencode({'q': words})}")
    return next(link for link in Outline(page.text).links if "/groups/" in link)


def test_a_group_is_previewed_and_then_acted_on(visitor: Visitor) -> None:
    first, second = dead_letter(visitor, "GROUP-1"), dead_letter(visitor, "GROUP-2")
    group = group_of(visitor, "currency")
    page = visitor.get(group)
    preview = next(link for link in Outline(page.text).links if "/redrive" in link)
    late = dead_letter(visitor, "GROUP-3")
    shown = visitor.get(preview)
    ids = next(
        given["value"] for tag, given in Outline(shown.text).tags if given.get("name") == "ids"
    )
    assert {str(first), str(second)} <= set(str(ids).split())
    assert str(late) not in str(ids).split()
    assert "a run with its event" in shown.text
    form = {"action": "discard", "ids": ids, "reason": "a test", "label": "some"}
    done = visitor.post("/console/dead-letters/jobs", form)
    assert done.status == 303
    settle(visitor)
    assert letters(visitor).count(late) == 1
    assert not {first, second} & set(letters(visitor))
    assert "Completed" in visitor.get(done.headers["location"]).text
    undone = visitor.post(f"/console/dead-letters/{first}/undo", {"ids": f"{first} {second}"})
    assert undone.status == 303
    assert {first, second} <= set(letters(visitor))


def test_the_dead_letters_of_a_filter_are_saved(visitor: Visitor) -> None:
    number = dead_letter(visitor, "SAVED-1")
    query = urlencode({"order": "SAVED-1"})
    [line] = visitor.get(f"/console/dead-letters/list.ndjson?{query}").text.splitlines()
    saved = json.loads(line)
    assert (saved["id"], saved["order_id"]) == (number, "SAVED-1")
    text = visitor.get(f"/console/dead-letters/list.csv?{query}").text
    assert text.splitlines()[1].startswith(f"{number},QuarantineQueue,")


@pytest.mark.parametrize("ids", ["x", "1;2", "-4", "9" * 30, " ".join(map(str, range(1, 10_002)))])
def test_a_job_on_no_dead_letters_is_refused(visitor: Visitor, ids: str) -> None:
    before = letters(visitor)
    form = {"action": "discard", "ids": ids, "reason": "none"}
    assert visitor.post("/console/dead-letters/jobs", form).status == 400
    assert letters(visitor) == before


# ---- replays

RANGE = {"start": "2020-01-01T00:00:00", "end": "2100-01-01T00:00:00"}


def test_a_dry_run_says_what_would_happen_and_changes_nothing(visitor: Visitor) -> None:
    before = visitor.rows("select count(*) from deliveries"), visitor.rows("select * from replays")
    page = visitor.get(f"/console/replays/new?{urlencode(RANGE)}")
    assert page.status == 200
    check_safe(page)
    text = " ".join(unescape(page.text).split())
    assert "duplicate" in text
    assert "counted before" in text
    assert "not counted" not in text  # the archive's facts are the platform's own
    assert "Start the replay" in text
    assert "at this pace" in text
    none = visitor.get(f"/console/replays/new?{urlencode(RANGE | {'end': '2021-01-01T00:00:00'})}")
    assert "no event in this range" in none.text
    assert (
        visitor.rows("select count(*) from deliveries"),
        visitor.rows("select * from replays"),
    ) == before


def test_analysts_have_the_platforms_own_facts_of_the_archive_already(visitor: Visitor) -> None:
    engine = visitor.host.engine
    found = dry_run(visitor.host.directory.reader(), engine.stack, Span(0, 4e9), [], time.time())
    own = {
        seq
        for seq, envelope in visitor.rows("select seq, envelope from events where archived")
        if "origin" not in json.loads(envelope)
    }
    facts = [each.analytics for seq, each in found.events if each.effect == FACT and seq in own]
    assert facts
    assert set(facts) == {AGAIN}


def test_a_replay_is_started_paused_resumed_and_cancelled(visitor: Visitor) -> None:
    form = {**RANGE, "name": "by-hand", "rate": "0.5", "rules": "AnalyticsRule"}
    started = visitor.post("/console/replays/new", form)
    assert started.headers["location"].startswith("/console/replays/by-hand")
    again = visitor.post("/console/replays/new", form)
    assert again.status == 409
    assert "already exists" in again.text
    state = "select state from replays where name = 'by-hand'"
    for verb, expected in (("pause", "PAUSED"), ("resume", "RUNNING"), ("cancel", "CANCELLED")):
        page = visitor.get("/console/replays/by-hand")
        assert page.status == 200
        check_safe(page)
        assert f"/by-hand/{verb}" in page.text
        assert visitor.post(f"/console/replays/by-hand/{verb}", {}).status == 303
        assert visitor.rows(state) == [(expected,)]
    assert visitor.post("/console/replays/by-hand/cancel", {}).status == 409
    assert visitor.post("/console/replays/by-hand/burn", {}).status == 400
    assert "by-hand" in visitor.get("/console/replays").text


# ---- contracts


def test_pasted_events_are_checked_and_nothing_is_sent(visitor: Visitor) -> None:
    before = seqs(visitor)
    good, bad = order("A-1"), order("N-1", currency="EURO")
    form = {"events": f"{json.dumps(good)}\n{json.dumps(bad)}"}
    text = visitor.post("/console/contracts/check", form).text
    assert "1 problematic event" in text
    assert "detail.currency" in text
    assert "nothing happens twice" in text
    for hostile in (HOSTILE, "[" * 3_000, "", json.dumps(order(HOSTILE))):
        check_safe(visitor.post("/console/contracts/check", {"events": hostile}))
    assert seqs(visitor) == before


def test_a_sent_example_leads_to_its_order_and_ends_there(visitor: Visitor) -> None:
    composer = visitor.get("/console/contracts/order-created/send?example=minimal")
    text = unescape(
        composer.text.partition("<textarea")[2].partition(">")[2].partition("</textarea>")[0]
    )
    order_id = json.loads(text)["detail"]["order_id"]
    sent = visitor.post("/console/contracts/order-created/send", {"event": text})
    assert sent.status == 303
    assert sent.headers["location"].startswith(f"/console/orders/{order_id}")
    settle(visitor)
    assert visitor.host.status(order_id) is not None


@pytest.mark.parametrize("text", ["", "{", HOSTILE, "{}", json.dumps(event("Order Completed"))])
def test_an_event_that_breaks_its_contract_is_not_sent(visitor: Visitor, text: str) -> None:
    before = seqs(visitor)
    page = visitor.post("/console/contracts/order-created/send", {"event": text})
    assert page.status == 422
    check_safe(page)
    assert seqs(visitor) == before


def test_a_number_is_sent_with_its_own_digits(visitor: Visitor) -> None:
    text = json.dumps(order("DIGITS-1")).replace("12.5", "12.50")
    text = text.replace('"customer_id"', '"extra": 123456789012345678901234567890, "customer_id"')
    assert visitor.post("/console/contracts/order-created/send", {"event": text}).status == 303
    [(envelope,)] = visitor.rows(
        "select envelope from events where order_id = 'DIGITS-1' and detail_type = 'Order Created'"
    )
    assert "12.50" in envelope
    assert "123456789012345678901234567890" in envelope


# ---- queries


def answer(visitor: Visitor, path: str) -> Shown:
    """Return the answer of a query, after the page that waits for it."""
    for _ in range(40):
        page = visitor.get(path)
        if "http-equiv" not in page.text:
            return page
    raise AssertionError("the query does not end")


def test_a_named_query_is_shown_with_its_parameters_and_saved(visitor: Visitor) -> None:
    page = answer(visitor, "/console/queries/orders_by_status")
    assert page.status == 200
    check_safe(page)
    saved = visitor.get("/console/queries/orders_by_status?format=csv")
    assert saved.headers["content-type"].startswith("text/csv")
    assert saved.text.splitlines()[0] in page.text or "status" in saved.text


def test_own_sql_is_answered_and_its_text_is_only_text(visitor: Visitor) -> None:
    sql = "select 'x' as a, 1 as n union all select '<b>y</b>', 2"
    page = answer(visitor, f"/console/queries/sql?{urlencode({'q': sql, 'dialect': 'duckdb'})}")
    assert page.status == 200
    assert "&lt;b&gt;y" in page.text
    assert "<svg" in page.text
    check_safe(page)


@pytest.mark.parametrize(
    "sql",
    [
        "select oops from orders",
        "drop table orders",
        "select * from read_csv('/etc/passwd')",
        "select 1; select 2",
        "copy (select 1) to '/tmp/x'",
        HOSTILE,
    ],
)
def test_a_wrong_query_says_what_is_wrong(visitor: Visitor, sql: str) -> None:
    page = answer(visitor, f"/console/queries/sql?{urlencode({'q': sql, 'dialect': 'duckdb'})}")
    assert page.status == 400
    assert 'role="alert"' in page.text
    check_safe(page)


def test_a_long_query_is_shown_as_running_and_can_be_cancelled(visitor: Visitor) -> None:
    sql = "select count(*) from range(100000000000) a"
    query: dict[str, Any] = {"q": sql, "dialect": "duckdb"}
    page = visitor.get(f"/console/queries/sql?{urlencode(query)}")
    assert 'http-equiv="refresh"' in page.text
    assert "Running for" in page.text
    assert visitor.post("/console/queries/cancel", query).status == 303
    ended = answer(visitor, f"/console/queries/sql?{urlencode(query)}")
    assert "was cancelled" in ended.text


# ---- who may act


def test_a_reader_sees_no_action_and_cannot_act(tmp_path: Path) -> None:
    tokens = {"reader": "console/read"}
    with serving(tmp_path / "data", tokens=tokens) as served:
        served.host.put(order("BAD-1", currency="EURO"))
        settle(served)
        [number] = letters(served)
        signed = served.post("/console/sign-in", {"token": "reader"})
        cookie = {"cookie": signed.headers["set-cookie"].partition(";")[0]}
        page = served.get(f"/console/dead-letters/{number}", cookie)
        assert page.status == 200
        assert "/redrive" not in page.text
        for path in (f"{number}/redrive", f"{number}/discard", f"{number}/edit", "jobs"):
            form = {"reason": "x", "ids": str(number), "event": "{}"}
            assert served.post(f"/console/dead-letters/{path}", form, cookie).status == 403
        send = {"event": json.dumps(order())}
        assert served.post("/console/contracts/order-created/send", send, cookie).status == 403
        assert letters(served) == [number]


@pytest.mark.parametrize("ids", ["", "x", " ".join(map(str, range(1, 1_002)))])
def test_an_undo_of_no_or_too_many_dead_letters_is_refused_as_a_whole(
    visitor: Visitor, ids: str
) -> None:
    page = visitor.post("/console/dead-letters/1/undo", {"ids": ids})
    assert page.status == 400
    check_safe(page)
