"""Group actions of the console: previewed, paced, watched, paused, cancelled and undone."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.fakes.console import Visitor, serving
from tests.fakes.console_pages import HOSTILE, Outline, check_safe, letters, settle
from tests.host import order

MANY = 10


@pytest.fixture
def visitor(tmp_path: Path) -> Iterator[Visitor]:
    """Serve a platform with dead letters of one cause."""
    with serving(tmp_path / "data") as served:
        served.host.put(*(order(f"BAD-{each}", currency="EURO") for each in range(MANY)))
        settle(served)
        assert len(letters(served)) == MANY
        yield served


def preview(visitor: Visitor, verb: str) -> str:
    """Return the address of a group's preview."""
    groups = visitor.get("/console/dead-letters?" + urlencode({"q": "currency"}))
    group = next(link for link in Outline(groups.text).links if "/groups/" in link)
    links = Outline(visitor.get(group).text).links
    return next(link for link in links if f"/{verb}" in link)


def form_of(text: str) -> dict[str, str]:
    """Return the hidden fields of the form that starts a job."""
    fields = [given for tag, given in Outline(text).tags if tag == "input"]
    hidden = [each for each in fields if each.get("type") == "hidden"]
    return {str(each["name"]): str(each["value"]) for each in hidden}


def start(visitor: Visitor, verb: str, **fields: str) -> str:
    """Start a job from its preview; return the path of its page."""
    page = visitor.get(preview(visitor, verb))
    check_safe(page)
    done = visitor.post("/console/dead-letters/jobs", {**form_of(page.text), **fields})
    assert done.status == 303, done.text
    return done.headers["location"].partition("?")[0]


def test_a_group_is_redriven_at_a_pace_paused_and_goes_on(visitor: Visitor) -> None:
    page = start(visitor, "redrive", pace="0.5")
    text = visitor.get(page).text
    assert "0.5 dead letters a second" in text
    assert "Pause" in text
    assert len(letters(visitor)) >= MANY - 2
    assert visitor.post(f"{page}/pause", {}).status == 303
    assert "Go on" in visitor.get(page).text
    assert visitor.post(f"{page}/resume", {}).status == 303
    assert visitor.post(f"{page}/cancel", {}).status == 303
    cancelled = visitor.get(page)
    check_safe(cancelled)
    assert "Cancelled" in cancelled.text
    again = visitor.post(f"{page}/pause", {})
    assert "Refused: " in visitor.get(again.headers["location"]).text


def test_a_discard_of_a_group_is_one_entry_of_the_activity_and_is_undone(visitor: Visitor) -> None:
    page = start(visitor, "discard", reason=HOSTILE)
    settle(visitor)
    assert letters(visitor) == []
    activity = visitor.get("/console/activity")
    check_safe(activity)
    assert activity.text.count("<b>discard group</b>") == 1
    assert "<b>discard</b>" not in activity.text
    assert "10 of 10 handled" in visitor.get(page).text
    undone = visitor.post(f"{page}/undo", {})
    settle(visitor)
    assert len(letters(visitor)) == MANY
    assert "Undo of a discard" in visitor.get(undone.headers["location"]).text
    assert "Put them back" not in visitor.get(page).text
    assert visitor.get("/console/activity").text.count("<b>restore group</b>") == 1
    jobs = visitor.get("/console/dead-letters/jobs")
    check_safe(jobs)
    assert jobs.text.count("data-row") == 2


def test_the_oldest_of_a_group_alone_are_handled(visitor: Visitor) -> None:
    before = letters(visitor)
    address = preview(visitor, "discard")
    page = visitor.get(f"{address}&most=3")
    assert "7 newer ones" in page.text
    fields = {**form_of(page.text), "reason": "a test"}
    assert visitor.post("/console/dead-letters/jobs", fields).status == 303
    settle(visitor)
    assert letters(visitor) == before[3:]


@pytest.mark.parametrize("pace", ["x", "0", "-1", "1e9", "nan"])
def test_a_pace_that_is_none_is_refused(visitor: Visitor, pace: str) -> None:
    page = visitor.get(preview(visitor, "redrive"))
    fields = {**form_of(page.text), "pace": pace}
    refused = visitor.post("/console/dead-letters/jobs", fields)
    assert (refused.status, "pace: " in refused.text) == (400, True)
    assert visitor.rows("select * from letter_jobs") == []


def test_a_discard_without_a_reason_and_an_unknown_action_are_refused(visitor: Visitor) -> None:
    fields = form_of(visitor.get(preview(visitor, "discard")).text)
    for changed in ({"reason": " "}, {"action": "burn"}):
        assert visitor.post("/console/dead-letters/jobs", {**fields, **changed}).status == 400
    assert visitor.get("/console/dead-letters/jobs/7").status == 404
    assert visitor.get("/console/dead-letters/jobs/x").status == 400
    assert visitor.post("/console/dead-letters/jobs/7/burn", {}).status == 400
    assert "No job in the last 14 days" in visitor.get("/console/dead-letters/jobs").text


def test_a_redrive_does_what_its_preview_has_foreseen(visitor: Visitor) -> None:
    shown = visitor.get(preview(visitor, "redrive")).text
    assert shown.count("a run with its event") >= MANY
    start(visitor, "redrive")
    settle(visitor)
    kinds = visitor.rows(
        "select distinct json_extract(detail, '$.successor') from letter_log"
        " where what = 'REDRIVEN'"
    )
    assert len(kinds) == MANY
    assert all(str(kind).startswith("execution redrive-") for (kind,) in kinds)
